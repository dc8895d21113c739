// A strict JSON scanner for file headers: what it accepts means the same to every JSON reader.
//
// `JSON.parse` takes the last of duplicate keys and rounds large integers. This one walks a known grammar: strings,
// non-negative safe integers, arrays and objects without duplicate keys, each only where its caller asks for it.
// It never recurses on its own, so that no input is deep enough to exhaust the stack.

/** Raised by the scanner; `position` is an index into the scanned text. Callers turn it into an error of their file. */
export class JsonScanError extends Error {
  constructor(
    readonly kind: 'syntax' | 'duplicate',
    readonly problem: string,
    readonly position: number,
  ) {
    super(problem);
  }
}

const escapes: Record<string, string> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

export class JsonScanner {
  position = 0;

  constructor(private readonly text: string) {}

  /** An object; `member` is called at each value and must consume it. Keys are unique after their escapes are resolved. */
  object(what: string, member: (key: string, keyPosition: number) => void): void {
    const seen = new Set<string>();
    this.list(what, '{', '}', () => {
      const keyPosition = this.position;
      const key = this.string('a key');
      if (seen.has(key)) {
        throw new JsonScanError(
          'duplicate',
          `expected each key once, got '${clip(key)}' twice in ${what}`,
          keyPosition,
        );
      }
      seen.add(key);
      this.blanks();
      this.take(':', 'after a key');
      this.blanks();
      member(key, keyPosition);
    });
  }

  /** An array; `element` is called at each value and must consume it. */
  array(what: string, element: () => void): void {
    this.list(what, '[', ']', element);
  }

  /** A string, without lone surrogates. */
  string(what: string): string {
    this.take('"', `to open ${what}`);
    const start = this.position;
    let result = '';
    let run = start;
    for (;;) {
      const code = this.text.charCodeAt(this.position);
      if (Number.isNaN(code)) throw this.error(`a closing quote for ${what}`);
      if (code < 0x20) throw this.error('no bare control character in a string');
      if (code === 0x22) break;
      if (code === 0x5c) {
        result += this.text.slice(run, this.position) + this.escape();
        run = this.position;
      } else {
        this.position++;
      }
    }
    result += this.text.slice(run, this.position);
    if (/\p{Surrogate}/u.test(result)) throw this.error('paired surrogates in a string', start);
    this.position++;
    return result;
  }

  /** A whole number from 0 to 2⁵³ − 1, in plain digits. */
  integer(what: string): number {
    const start = this.position;
    while (isDigit(this.text.charCodeAt(this.position))) this.position++;
    const digits = this.text.slice(start, this.position);
    const next = this.text[this.position];
    if (digits === '' || (digits.length > 1 && digits[0] === '0') || next === '.' || next === 'e' || next === 'E') {
      throw this.error(`${what} in plain digits`, start);
    }
    const value = Number(digits);
    if (digits.length > 16 || !Number.isSafeInteger(value)) throw this.error(`${what} of at most 2^53 - 1`, start);
    return value;
  }

  /** Only blanks may follow. */
  end(): void {
    this.blanks();
    if (this.position < this.text.length) throw this.error('nothing but blanks after the last brace');
  }

  blanks(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.position);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.position++;
    }
  }

  private list(what: string, open: string, close: string, item: () => void): void {
    this.take(open, `to open ${what}`);
    this.blanks();
    if (this.text[this.position] === close) {
      this.position++;
      return;
    }
    for (;;) {
      item();
      this.blanks();
      if (this.text[this.position] === close) break;
      this.take(',', `or '${close}' in ${what}`);
      this.blanks();
    }
    this.position++;
  }

  private escape(): string {
    const letter = this.text[this.position + 1] ?? '';
    if (letter === 'u') {
      const hex = this.text.slice(this.position + 2, this.position + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.error('four hexadecimal digits after \\u');
      this.position += 6;
      return String.fromCharCode(Number.parseInt(hex, 16));
    }
    if (!Object.hasOwn(escapes, letter)) throw this.error('a known escape after \\');
    this.position += 2;
    return escapes[letter];
  }

  private take(character: string, why: string): void {
    if (this.text[this.position] !== character) throw this.error(`'${character}' ${why}`);
    this.position++;
  }

  private error(expected: string, position = this.position): JsonScanError {
    const got = position < this.text.length ? `'${this.text.slice(position, position + 24)}'` : 'the end of the text';
    return new JsonScanError('syntax', `expected ${expected}, got ${got}`, position);
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Text from a file, cut to what fits in a message. */
export function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}

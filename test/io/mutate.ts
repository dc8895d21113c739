// Seeded mutations of files with a JSON header, for the fuzz tests and the comparison with the reference reader.

/** Numbers at which size arithmetic goes wrong. */
export const boundaries = [31n, 32n, 53n, 63n, 64n].flatMap(power => [2n ** power - 1n, 2n ** power, 2n ** power + 1n]);

const tokens = [
  ...boundaries.map(String),
  ...'0 1 2 -1 -0 1.0 1e2 01 NaN null true [] {} "" "F32" "I64" "F4" "__metadata__" , : { } [ ] " \\u0000 \\ud800 é'.split(
    ' ',
  ),
  ' ',
  '\n',
  '\t',
  '\u00a0',
  '\ufeff',
  '"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},',
  '"__metadata__":{"a":"b"},',
];

const strings = ['""', '"e\u0301"', `"${'n'.repeat(513)}"`, '"\\ud800"', '"\\u0077"', '"w"', '"F32"', '"__metadata__"'];

export type Random = () => number;

/** Uniform in [0, 1), by the generator mulberry32. */
export function seeded(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A file of 8 bytes of length, the header and the data; the length as given, else as it is. */
export function assemble(header: string | Uint8Array, data: Uint8Array, length?: bigint): Uint8Array {
  const body = typeof header === 'string' ? Buffer.from(header) : header;
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt.asUintN(64, length ?? BigInt(body.length)));
  return new Uint8Array(Buffer.concat([prefix, body, data]));
}

/** One to three random changes of a safetensors file: of any byte, of the header's text, of its length. */
export function mutateSafetensors(seed: Uint8Array, random: Random): Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const length = Number(Buffer.from(seed).readBigUInt64LE(0));
  let header = Buffer.from(seed.subarray(8, 8 + length)).toString();
  let data = seed.slice(8 + length);
  let stated: bigint | undefined;
  for (let changes = 1 + Math.floor(random() * 3); changes > 0; changes--) {
    const at = Math.floor(random() * header.length);
    switch (Math.floor(random() * 9)) {
      case 0:
        header = header.slice(0, at) + pick(tokens) + header.slice(at);
        break;
      case 1:
        header = header.slice(0, at) + header.slice(at + 1 + Math.floor(random() * 8));
        break;
      case 2: {
        const numbers = [...header.matchAll(/\d+/g)];
        if (numbers.length === 0) break;
        const found = pick(numbers);
        const near = String(BigInt(found[0].slice(0, 30)) + BigInt(Math.floor(random() * 9) - 4));
        const replacement = random() < 0.5 ? near : pick(tokens);
        header = header.slice(0, found.index) + replacement + header.slice(found.index + found[0].length);
        break;
      }
      case 3: {
        const parts = header.split(/(?<=[},])/);
        const from = Math.floor(random() * parts.length);
        parts.splice(Math.floor(random() * parts.length), random() < 0.5 ? 1 : 0, parts[from]);
        header = parts.join('');
        break;
      }
      case 4:
        header = header.slice(0, at) + String.fromCharCode(Math.floor(random() * 256)) + header.slice(at + 1);
        break;
      case 5:
        data = random() < 0.5 ? data.slice(0, Math.floor(random() * data.length)) : Buffer.concat([data, data]);
        break;
      case 6:
        stated = random() < 0.5 ? BigInt(length + Math.floor(random() * 17) - 8) : pick(boundaries);
        break;
      case 7: {
        const found = [...header.matchAll(/"[^"]*"/g)];
        if (found.length === 0) break;
        const { 0: text, index } = pick(found);
        header = header.slice(0, index) + pick(strings) + header.slice(index + text.length);
        break;
      }
      default: {
        const blanks = ' '.repeat(Math.floor(random() * 8));
        header = random() < 0.5 ? header + blanks : header.replace(/(?<=[,:{}[\]])/g, blanks);
      }
    }
  }
  const bytes = assemble(header, data, stated);
  if (random() < 0.3) bytes[Math.floor(random() * bytes.length)] ^= 1 << Math.floor(random() * 8);
  if (random() < 0.1) bytes[8 + Math.floor(random() * header.length)] = 128 + Math.floor(random() * 128);
  return bytes;
}

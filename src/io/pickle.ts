// Reads the part of Python's pickle format, protocol 2, that PyTorch writes around tensors. Nothing is run or imported:
// a global is a name out of a closed list, a call is a record of a name and its arguments, and what these mean is for
// the caller to say. The opcodes: CPython, Lib/pickletools.py.

import { DlcourseError } from '../errors.js';
import { clip } from './json-scanner.js';

export type PickleValue = null | boolean | number | bigint | string | PickleNode;

/** A value with parts. The same node may stand in several places, and even within itself: whoever walks counts. */
export type PickleNode =
  | { kind: 'list'; items: PickleValue[] }
  | { kind: 'tuple'; items: readonly PickleValue[] }
  | { kind: 'dict'; keys: PickleValue[]; values: PickleValue[] }
  | { kind: 'global'; name: string }
  | { kind: 'call'; name: string; args: readonly PickleValue[]; at: number }
  | { kind: 'persistent'; id: readonly PickleValue[]; at: number };

/** What a pickle may hold at most; a thousand tensors take some 100 kB and 10,000 objects. */
export const pickleLimits = {
  bytes: 16 * 2 ** 20,
  /** Strings and nodes: what takes memory of its own. */
  objects: 500_000,
  stack: 200_000,
  marks: 1_000,
  memo: 500_000,
  nameBytes: 128,
} as const;

export interface PickleRules {
  /** Names the bytes in errors. */
  where: string;
  /** Full names of the globals that may occur: those that may be called, and those that only stand for themselves. */
  callable: ReadonlySet<string>;
  inert: ReadonlySet<string>;
}

export const orderedDict = 'collections.OrderedDict';

/**
 * Reads one pickle from byte `start`; `end` is the byte after it.
 *
 * Errors, class refusedFile: `E_PYTORCH_PICKLE` (damaged), `E_PYTORCH_OPCODE` and `E_PYTORCH_GLOBAL` (not among those
 * known), `E_PYTORCH_LIMIT`.
 */
export function readPickle(bytes: Uint8Array, start: number, rules: PickleRules): { value: PickleValue; end: number } {
  return new Unpickler(bytes, start, rules).load();
}

export const plainHint = 'save a plain state_dict in PyTorch: torch.save(model.state_dict(), path)';

class Unpickler {
  /** All there are; what Python 2 wrote for names is SHORT_BINSTRING. */
  private static readonly opcodes = new Map<number, { name: string; step: (u: Unpickler) => void }>([
    [0x2e, { name: 'STOP', step: () => {} }],
    [0x28, { name: 'MARK', step: u => u.mark() }],
    [0x4e, { name: 'NONE', step: u => u.push(null) }],
    [0x88, { name: 'NEWTRUE', step: u => u.push(true) }],
    [0x89, { name: 'NEWFALSE', step: u => u.push(false) }],
    [0x4a, { name: 'BININT', step: u => u.push(u.view.getInt32(u.take(4), true)) }],
    [0x4b, { name: 'BININT1', step: u => u.push(u.byte()) }],
    [0x4d, { name: 'BININT2', step: u => u.push(u.view.getUint16(u.take(2), true)) }],
    [0x8a, { name: 'LONG1', step: u => u.push(u.long(u.byte())) }],
    [0x47, { name: 'BINFLOAT', step: u => u.push(u.view.getFloat64(u.take(8))) }],
    [0x58, { name: 'BINUNICODE', step: u => u.pushObject(u.text(u.uint32())) }],
    [0x55, { name: 'SHORT_BINSTRING', step: u => u.pushObject(u.text(u.byte())) }],
    [0x5d, { name: 'EMPTY_LIST', step: u => u.pushObject({ kind: 'list', items: [] }) }],
    [0x7d, { name: 'EMPTY_DICT', step: u => u.pushObject({ kind: 'dict', keys: [], values: [] }) }],
    [0x29, { name: 'EMPTY_TUPLE', step: u => u.tuple([]) }],
    [0x74, { name: 'TUPLE', step: u => u.tuple(u.popMark()) }],
    [0x85, { name: 'TUPLE1', step: u => u.tuple(u.popMany(1)) }],
    [0x86, { name: 'TUPLE2', step: u => u.tuple(u.popMany(2)) }],
    [0x87, { name: 'TUPLE3', step: u => u.tuple(u.popMany(3)) }],
    [0x61, { name: 'APPEND', step: u => u.append(u.popMany(1)) }],
    [0x65, { name: 'APPENDS', step: u => u.append(u.popMark()) }],
    [0x73, { name: 'SETITEM', step: u => u.setItems(u.popMany(2)) }],
    [0x75, { name: 'SETITEMS', step: u => u.setItems(u.popMark()) }],
    [0x71, { name: 'BINPUT', step: u => u.memoize(u.byte()) }],
    [0x72, { name: 'LONG_BINPUT', step: u => u.memoize(u.uint32()) }],
    [0x68, { name: 'BINGET', step: u => u.recall(u.byte()) }],
    [0x6a, { name: 'LONG_BINGET', step: u => u.recall(u.uint32()) }],
    [0x63, { name: 'GLOBAL', step: u => u.global() }],
    [0x52, { name: 'REDUCE', step: u => u.reduce() }],
    [0x51, { name: 'BINPERSID', step: u => u.persistent() }],
    [0x62, { name: 'BUILD', step: u => u.build() }],
  ]);

  private readonly view: DataView;
  private readonly stack: PickleValue[] = [];
  /** Where on the stack each open MARK stands. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private objects = 0;
  private opcodeAt: number;
  private opcode = 'PROTO';

  constructor(
    private readonly bytes: Uint8Array,
    private at: number,
    private readonly rules: PickleRules,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.opcodeAt = at;
  }

  load(): { value: PickleValue; end: number } {
    this.protocol();
    for (;;) {
      this.opcodeAt = this.at;
      const code = this.byte();
      this.opcode = 'an opcode';
      const known = Unpickler.opcodes.get(code);
      if (!known) {
        const problem = `expected an opcode of a state_dict, got 0x${code.toString(16).padStart(2, '0')}`;
        throw this.refuse(problem, 'E_PYTORCH_OPCODE');
      }
      this.opcode = known.name;
      if (known.name === 'STOP') break;
      known.step(this);
    }
    const value = this.pop();
    if (this.stack.length > 0 || this.marks.length > 0) throw this.refuse('expected one value at the end, got more');
    return { value, end: this.at };
  }

  private protocol(): void {
    if (this.byte() !== 0x80) throw this.refuse('expected a pickle of protocol 2, got other bytes');
    const version = this.byte();
    if (version === 2) return;
    const hint = 'save with torch.save(model.state_dict(), path), whose pickle_protocol is 2';
    throw this.refuse(`expected protocol 2, got ${version}`, 'E_PYTORCH_PICKLE', hint);
  }

  /** Something outside of the pickle: a tuple that describes it, or the text that is its name in a tar archive. */
  private persistent(): void {
    const id = this.pop();
    if (typeof id !== 'string' && !isNode(id, 'tuple')) throw this.refuse(`expected a tuple, got ${describe(id)}`);
    this.pushObject({ kind: 'persistent', id: typeof id === 'string' ? [id] : id.items, at: this.opcodeAt });
  }

  /** The attributes of an OrderedDict: PyTorch keeps the version of each module there; no tensor needs it. */
  private build(): void {
    this.pop();
    const target = this.top();
    if (!isNode(target, 'dict')) throw this.refuse(`expected a dict to set attributes of, got ${describe(target)}`);
  }

  private mark(): void {
    if (this.marks.length === pickleLimits.marks) throw this.limit('marks', pickleLimits.marks);
    this.marks.push(this.stack.length);
  }

  private global(): void {
    const name = `${this.line()}.${this.line()}`;
    if (!this.rules.callable.has(name) && !this.rules.inert.has(name)) {
      throw this.refuse(`expected only what a state_dict needs, got the global '${clip(name)}'`, 'E_PYTORCH_GLOBAL');
    }
    this.pushObject({ kind: 'global', name });
  }

  /** Records a call; only the making of an OrderedDict is carried out, since items are put into it later. */
  private reduce(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!isNode(callee, 'global') || !this.rules.callable.has(callee.name)) {
      throw this.refuse(`expected a known function, got ${describe(callee)}`);
    }
    if (!isNode(args, 'tuple')) throw this.refuse(`expected a tuple of arguments, got ${describe(args)}`);
    if (callee.name !== orderedDict) {
      this.pushObject({ kind: 'call', name: callee.name, args: args.items, at: this.opcodeAt });
      return;
    }
    this.pushObject({ kind: 'dict', keys: [], values: [] });
    if (args.items.length === 0) return;
    // Python 2 wrote one list of [key, value] lists.
    const [pairs] = args.items;
    if (args.items.length !== 1 || !isNode(pairs, 'list')) throw this.refuse('expected a list of pairs, got others');
    for (const pair of pairs.items) {
      if (!(isNode(pair, 'list') || isNode(pair, 'tuple')) || pair.items.length !== 2) {
        throw this.refuse(`expected pairs of key and value, got ${describe(pair)}`);
      }
      this.count();
      this.setItems(pair.items);
    }
  }

  private tuple(items: readonly PickleValue[]): void {
    this.pushObject({ kind: 'tuple', items });
  }

  private append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isNode(target, 'list')) throw this.refuse(`expected a list to append to, got ${describe(target)}`);
    for (const item of items) target.items.push(item);
  }

  private setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!isNode(target, 'dict')) throw this.refuse(`expected a dict to put items into, got ${describe(target)}`);
    if (items.length % 2 !== 0) throw this.refuse('expected keys with values, got a key without');
    for (let i = 0; i < items.length; i += 2) {
      target.keys.push(items[i]);
      target.values.push(items[i + 1]);
    }
  }

  private memoize(index: number): void {
    if (this.memo.size === pickleLimits.memo) throw this.limit('memo entries', pickleLimits.memo);
    this.memo.set(index, this.top());
  }

  private recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined) throw this.refuse(`expected memo entry ${index}, got none`);
    this.push(value);
  }

  private push(value: PickleValue): void {
    if (this.stack.length === pickleLimits.stack) throw this.limit('values on the stack', pickleLimits.stack);
    this.stack.push(value);
  }

  private pushObject(value: string | PickleNode): void {
    this.count();
    this.push(value);
  }

  private count(): void {
    if (++this.objects > pickleLimits.objects) throw this.limit('objects', pickleLimits.objects);
  }

  /** The topmost value above the last MARK. */
  private top(): PickleValue {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw this.refuse('expected a value on the stack, got none');
    return this.stack[this.stack.length - 1];
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  private popMany(count: number): PickleValue[] {
    if (this.stack.length < (this.marks.at(-1) ?? 0) + count) {
      throw this.refuse(`expected ${count} values on the stack, got fewer`);
    }
    return this.stack.splice(this.stack.length - count);
  }

  private popMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.refuse('expected a mark on the stack, got none');
    return this.stack.splice(mark);
  }

  private uint32(): number {
    return this.view.getUint32(this.take(4), true);
  }

  private byte(): number {
    return this.bytes[this.take(1)];
  }

  /** Where the next `count` bytes begin; moves on behind them. */
  private take(count: number): number {
    const begin = this.at;
    if (count > this.bytes.length - begin) {
      throw this.refuse(`expected ${count} more bytes at byte ${begin}, got ${this.bytes.length - begin}`);
    }
    this.at += count;
    return begin;
  }

  private text(length: number): string {
    const begin = this.take(length);
    try {
      return utf8.decode(this.bytes.subarray(begin, begin + length));
    } catch {
      throw this.refuse('expected UTF-8, got other bytes');
    }
  }

  /** A line of ASCII, without its end. */
  private line(): string {
    const end = this.bytes.subarray(this.at, this.at + pickleLimits.nameBytes + 1).indexOf(0x0a);
    if (end < 0) throw this.refuse(`expected a name of at most ${pickleLimits.nameBytes} bytes and a line end`);
    const begin = this.take(end + 1);
    return Buffer.from(this.bytes.subarray(begin, begin + end)).toString('latin1');
  }

  /** A two's complement integer, little-endian. */
  private long(length: number): number | bigint {
    const begin = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[begin + i]);
    value = BigInt.asIntN(length * 8, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  private limit(what: string, most: number): DlcourseError {
    return this.refuse(`expected at most ${most} ${what}, got more`, 'E_PYTORCH_LIMIT');
  }

  private refuse(problem: string, code = 'E_PYTORCH_PICKLE', hint = plainHint): DlcourseError {
    const where = `${this.rules.where}: ${this.opcode} at byte ${this.opcodeAt}`;
    return new DlcourseError({ code, class: 'refusedFile', where, problem, hint });
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function isNode<K extends PickleNode['kind']>(value: PickleValue | undefined, kind: K): value is NodeOf<K> {
  return typeof value === 'object' && value !== null && value.kind === kind;
}

type NodeOf<K extends PickleNode['kind']> = Extract<PickleNode, { kind: K }>;

/** A value in an error message. */
export function describe(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'string') return `'${clip(value)}'`;
  if (typeof value !== 'object' || value === null) return clip(String(value));
  return value.kind === 'global' || value.kind === 'call' ? `a ${value.kind} of ${value.name}` : `a ${value.kind}`;
}

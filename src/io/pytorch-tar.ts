// PyTorch checkpoints from before 2017: a tar archive of four members, in any order.
//
// sys_info: a pickle, a dict that says the order of bytes.
// storages: a pickle of their number; for each a pickle (key, device, type), a count in 8 bytes, and the elements; at
//   the end a pickle of a list of parts (key, key of the whole, offset, count).
// tensors: a pickle of their number; for each a pickle (key, storage's key, type), the rank in 4 bytes and 4 bytes
//   without meaning, extents, strides and the offset in 8 bytes each.
// pickle: the checkpoint, in which a tensor is the text of its key.
// torch/serialization.py, legacy_load: https://github.com/pytorch/pytorch

import { DlcourseError } from '../errors.js';
import { describe, isNode, type PickleRules, type PickleValue, pickleLimits, plainHint, readPickle } from './pickle.js';
import {
  lastElement,
  type Opened,
  type Place,
  pytorchRules,
  readCheckpoint,
  type Storage,
  storageTypes,
  type UnnamedTensor,
} from './pytorch-tree.js';
import { checkedProduct, type Dtype, dtypes, limits } from './safetensors-header.js';
import type { ReadBytes } from './zip.js';

const block = 512;
const memberNames = ['sys_info', 'pickle', 'storages', 'tensors'] as const;
type Members = Readonly<Record<(typeof memberNames)[number], Place>>;

/** Types of tensors, which say nothing that their storage does not. */
const tensorTypes: ReadonlyMap<string, Dtype> = new Map(
  [...storageTypes].flatMap(([name, dtype]) => {
    const type = name.replace(/^torch\.(\w+)Storage$/, '$1Tensor');
    return [[`torch.${type}`, dtype] as const, [`torch.cuda.${type}`, dtype] as const];
  }),
);

export async function isTarArchive(read: ReadBytes, size: number): Promise<boolean> {
  return size >= 2 * block && Buffer.from(await read(257, 262)).toString('latin1') === 'ustar';
}

/**
 * Reads what a tar archive says. Errors, class refusedFile: `E_PYTORCH_TAR` for the archive, else those of openPytorch.
 */
export async function openTar(read: ReadBytes, size: number, path: string): Promise<Opened> {
  const members = await readMembers(read, size, path);
  const whole = async (name: 'sys_info' | 'pickle'): Promise<PickleValue> => {
    const { begin, end } = members[name];
    const where = `${path}: ${name}`;
    if (end - begin > pickleLimits.bytes) {
      throw refused('E_PYTORCH_LIMIT', where, `expected at most ${pickleLimits.bytes} bytes, got ${end - begin}`);
    }
    const pickle = readPickle(await read(begin, end), 0, pytorchRules(where));
    if (pickle.end === end - begin) return pickle.value;
    throw refused('E_PYTORCH_PICKLE', where, `expected ${pickle.end} bytes, got ${end - begin}`);
  };
  const machine = await whole('sys_info');
  const order = isNode(machine, 'dict') ? machine.values[machine.keys.lastIndexOf('little_endian')] : undefined;
  if (order !== true) {
    const hint = 'load and save it in PyTorch on a little-endian machine';
    throw refused('E_PYTORCH_ORDER', path, "expected little-endian numbers, got 'big' or none stated", hint);
  }
  const { places, parts } = await readStorages(read, members.storages, `${path}: storages`);
  const tensors = await readTensors(read, members.tensors, parts, `${path}: tensors`);
  const checkpoint = readCheckpoint(await whole('pickle'), `${path}: pickle`, tensors);
  return { checkpoint, places };
}

/** Members by name: regular files, each once, with nothing between and nothing behind but zeros. */
async function readMembers(read: ReadBytes, size: number, path: string): Promise<Members> {
  const found: Partial<Record<string, Place>> = {};
  const refuse = (problem: string) => refused('E_PYTORCH_TAR', path, problem);
  let at = 0;
  for (;;) {
    if (at + block > size) throw refuse(`expected a member or the end of the archive at byte ${at}, got the end`);
    const header = Buffer.from(await read(at, at + block));
    if (header.every(byte => byte === 0)) break;
    const { name, type, length } = readHeader(header, `${path}: header at byte ${at}`);
    const begin = at + block;
    const end = begin + length;
    const next = begin + block * Math.ceil(length / block);
    if (next > size) throw refuse(`expected '${name}' to end in the file, got ${length} bytes at byte ${begin}`);
    await requireZeros(read, end, next, path);
    if (type === 'x') checkTimes(Buffer.from(await read(begin, Math.min(end, begin + 2 * block))), length, path);
    else if (type !== '0') throw refuse(`expected regular files, got type '${type}' for '${name}'`);
    else if (!(memberNames as readonly string[]).includes(name) || found[name]) {
      throw refuse(`expected ${memberNames.join(', ')}, each once, got '${name}'`);
    } else found[name] = { begin, end };
    at = next;
  }
  if (size - at > 64 * block) throw refuse(`expected the end of the archive, got ${size - at} more bytes`);
  await requireZeros(read, at, size, path);
  for (const name of memberNames) if (!found[name]) throw refuse(`expected a member '${name}', got none`);
  return found as Members;
}

/** The fields of a header that matter. POSIX.1-1988, ustar. */
function readHeader(header: Buffer, where: string): { name: string; type: string; length: number } {
  const octal = (begin: number, end: number): number => {
    const digits = /^ *([0-7]{1,11})[ \0]*$/.exec(header.toString('latin1', begin, end))?.[1];
    if (digits === undefined)
      throw refused('E_PYTORCH_TAR', where, `expected octal digits at byte ${begin}, got others`);
    return Number.parseInt(digits, 8);
  };
  let sum = 0;
  for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 0x20 : header[i]!;
  if (header.toString('latin1', 257, 262) !== 'ustar' || octal(148, 156) !== sum) {
    throw refused('E_PYTORCH_TAR', where, 'expected a header with its checksum, got another');
  }
  const text = (begin: number, end: number): string => {
    const field = header.toString('latin1', begin, end);
    const length = field.indexOf('\0');
    return length < 0 ? field : field.slice(0, length);
  };
  const [name, prefix, type] = [text(0, 100), text(345, 500), header.toString('latin1', 156, 157)];
  if (prefix !== '') throw refused('E_PYTORCH_TAR', where, 'expected a member without a folder, got one');
  return { name, type: type === '\0' ? '0' : type, length: octal(124, 136) };
}

/** A header of times, which Python writes; anything else in it could rename or resize what follows. */
function checkTimes(content: Buffer, length: number, path: string): void {
  let at = 0;
  const records = content.subarray(0, length).toString('latin1');
  while (at < length) {
    const [all, digits] = /^(\d{1,3}) [acm]time=[\d.]{1,40}\n/.exec(records.slice(at)) ?? [];
    if (all === undefined || Number(digits) !== all.length) {
      throw refused('E_PYTORCH_TAR', path, 'expected extended headers of times only, got others');
    }
    at += all.length;
  }
}

async function requireZeros(read: ReadBytes, begin: number, end: number, path: string): Promise<void> {
  if ((await read(begin, end)).every(byte => byte === 0)) return;
  throw refused('E_PYTORCH_TAR', path, `expected zeros from byte ${begin} to ${end}, got others`);
}

/** Reads a member from its beginning to its end: pickles, and bytes between them. */
class Cursor {
  private at: number;
  private readonly rules: PickleRules;

  constructor(
    private readonly read: ReadBytes,
    private readonly place: Place,
    private readonly where: string,
    types: Iterable<string>,
  ) {
    this.at = place.begin;
    this.rules = { where, callable: new Set(), inert: new Set(types) };
  }

  /** The next pickle, of at most `most` bytes. */
  async pickle(most: number): Promise<PickleValue> {
    const end = Math.min(this.place.end, this.at + most);
    const pickle = readPickle(await this.read(this.at, end), 0, this.rules);
    this.at += pickle.end;
    return pickle.value;
  }

  async bytes(length: number): Promise<Buffer> {
    const { begin, end } = this.skip(length);
    return Buffer.from(await this.read(begin, end));
  }

  /** The place of the next bytes; goes on behind them. */
  skip(length: number): Place {
    const begin = this.at;
    const rest = this.place.end - begin;
    if (length > rest) throw refused('E_PYTORCH_STORAGE', this.where, `expected ${length} more bytes, got ${rest}`);
    this.at += length;
    return { begin, end: this.at };
  }

  requireEnd(): void {
    const rest = this.place.end - this.at;
    if (rest > 0) throw refused('E_PYTORCH_STORAGE', this.where, `expected the end, got ${rest} more bytes`);
  }
}

/** The pickles between the elements hold three values each. */
const shortPickle = 4096;

/** A storage, or a part of one. */
interface Part {
  readonly storage: Storage;
  readonly begin: number;
  readonly count: number;
}

async function readStorages(
  read: ReadBytes,
  place: Place,
  where: string,
): Promise<{ places: Map<string, Place>; parts: Map<string, Part> }> {
  const cursor = new Cursor(read, place, where, storageTypes.keys());
  const places = new Map<string, Place>();
  const parts = new Map<string, Part>();
  const refuse = (problem: string) => refused('E_PYTORCH_STORAGE', where, problem);
  const add = (key: PickleValue | undefined, part: (key: string) => Part): void => {
    const name = keyOf(key, where);
    if (parts.has(name)) throw refuse(`expected each key once, got ${name} twice`);
    parts.set(name, part(name));
  };
  const total = countOf(await cursor.pickle(shortPickle), where);
  for (let i = 0; i < total; i++) {
    const entry = await cursor.pickle(shortPickle);
    const [key, device, type] = isNode(entry, 'tuple') && entry.items.length === 3 ? entry.items : [];
    const dtype = isNode(type, 'global') ? storageTypes.get(type.name) : undefined;
    if (!dtype || typeof device !== 'string') throw refuse(`expected (key, device, type), got ${describe(entry)}`);
    const count = Number((await cursor.bytes(8)).readBigUInt64LE(0));
    const bytes = checkedProduct([count, dtypes[dtype].bytes]);
    if (bytes === undefined) throw refuse(`expected a count of elements below 2^53 bytes, got ${count}`);
    const elements = cursor.skip(bytes);
    add(key, name => {
      places.set(name, elements);
      return { storage: { key: name, dtype, count }, begin: 0, count };
    });
  }
  const views = await cursor.pickle(pickleLimits.bytes);
  cursor.requireEnd();
  if (!isNode(views, 'list')) throw refuse(`expected a list of parts, got ${describe(views)}`);
  for (const view of views.items) {
    const [key, root, offset, count] = isNode(view, 'tuple') && view.items.length === 4 ? view.items : [];
    const whole = parts.get(keyOf(root, where));
    if (!whole || whole.count !== whole.storage.count) throw refuse('expected a part of a storage, got one of none');
    if (!isCount(offset) || !isCount(count) || offset + count > whole.count) {
      throw refuse(`expected a part within ${whole.count} elements, got others`);
    }
    add(key, () => ({ storage: whole.storage, begin: offset, count }));
  }
  return { places, parts };
}

async function readTensors(
  read: ReadBytes,
  place: Place,
  parts: ReadonlyMap<string, Part>,
  where: string,
): Promise<Map<string, UnnamedTensor>> {
  const cursor = new Cursor(read, place, where, tensorTypes.keys());
  const tensors = new Map<string, UnnamedTensor>();
  const total = countOf(await cursor.pickle(shortPickle), where);
  for (let i = 0; i < total; i++) {
    const entry = await cursor.pickle(shortPickle);
    const [key, storageKey, type] = isNode(entry, 'tuple') && entry.items.length === 3 ? entry.items : [];
    const part = parts.get(keyOf(storageKey, where));
    const name = keyOf(key, where);
    if (!part || !isNode(type, 'global') || tensorTypes.get(type.name) !== part.storage.dtype) {
      throw refused('E_PYTORCH_TENSOR', where, `expected (key, storage, its type), got ${describe(entry)}`);
    }
    if (tensors.has(name)) throw refused('E_PYTORCH_TENSOR', where, `expected each key once, got ${name} twice`);
    const rank = (await cursor.bytes(8)).readInt32LE(0);
    if (rank < 0 || rank > limits.rank) {
      throw refused('E_PYTORCH_VIEW', where, `expected up to ${limits.rank} extents, got ${rank}`);
    }
    const numbers = await cursor.bytes(8 * (2 * rank + 1));
    const values = Array.from({ length: 2 * rank + 1 }, (_, j) => Number(numbers.readBigInt64LE(8 * j)));
    if (!values.every(isCount)) throw refused('E_PYTORCH_VIEW', where, 'expected whole numbers, got others');
    const [shape, stride, within] = [values.slice(0, rank), values.slice(rank, 2 * rank), values[2 * rank]!];
    const last = lastElement(shape, stride, within);
    if (last === undefined || last >= part.count) {
      const got = `[${shape.join(', ')}] with strides [${stride.join(', ')}] from ${within}`;
      throw refused('E_PYTORCH_VIEW', where, `expected a view within ${part.count} elements, got ${got}`);
    }
    const { storage, begin } = part;
    tensors.set(name, { dtype: storage.dtype, shape, storage, offset: begin + within, stride });
  }
  cursor.requireEnd();
  return tensors;
}

/** Keys are addresses of the machine that wrote the file. */
function keyOf(value: PickleValue | undefined, where: string): string {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value);
  throw refused('E_PYTORCH_STORAGE', where, `expected a number as key, got ${describe(value)}`);
}

function countOf(value: PickleValue, where: string): number {
  if (isCount(value) && value <= limits.tensors) return value;
  throw refused('E_PYTORCH_LIMIT', where, `expected at most ${limits.tensors} entries, got ${describe(value)}`);
}

const isCount = (value: PickleValue | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;

function refused(code: string, where: string, problem: string, hint = plainHint): DlcourseError {
  return new DlcourseError({ code, class: 'refusedFile', where, problem, hint });
}

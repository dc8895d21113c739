// Reading PyTorch checkpoints, the zip format and the two before it, without Python and without running anything.
//
// zip (PyTorch 1.6 and later): NAME/data.pkl, and each storage as NAME/data/KEY; NAME/version; NAME/byteorder in later ones.
// Before: five pickles (a magic number, the protocol's version, the machine, the checkpoint, the storages' keys),
// then for each key a count of elements in 8 bytes and the elements. Before 2017: a tar archive, see pytorch-tar.ts.
// torch/serialization.py, _save and _legacy_save: https://github.com/pytorch/pytorch

import { DlcourseError, nearest } from '../errors.js';
import { crc32 } from './crc32c.js';
import {
  allocate,
  type FileSystem,
  nodeFileSystem,
  type OpenFile,
  openForReading,
  readError,
  readFully,
} from './filesystem.js';
import { isNode, type PickleValue, pickleLimits, plainHint, readPickle } from './pickle.js';
import { isTarArchive, openTar } from './pytorch-tar.js';
import {
  type Checkpoint,
  type Opened,
  type Place,
  type PytorchTensorInfo,
  pytorchRules,
  readCheckpoint,
  type Scalar,
  type Storage,
} from './pytorch-tree.js';
import { type Tensor, tensorFrom, toFloat32 } from './safetensors.js';
import { dtypes } from './safetensors-header.js';
import { type ReadBytes, readZipDirectory, type ZipEntry } from './zip.js';

export type { PytorchTensorInfo, Scalar, Storage } from './pytorch-tree.js';

/**
 * Opens a checkpoint of torch.save and reads what it says; elements are read when asked for. Close it when done.
 *
 * Nothing in the file is trusted or run: it may name 15 globals, which are mere names here; sizes are checked before
 * memory is taken; anything else is refused with the place and the name of what it wanted.
 *
 * Errors: `E_NOT_FOUND`, `E_READ`; class refusedFile with `E_PYTORCH_FORMAT`, `_ZIP`, `_PICKLE`, `_OPCODE`, `_GLOBAL`,
 * `_LIMIT`, `_ORDER`, `_TENSOR`, `_STORAGE`, `_VIEW`, `_NAME`, `_DUPLICATE`; class integrity with `E_PYTORCH_CHECKSUM`.
 */
export async function openPytorch(path: string, options: { fs?: FileSystem } = {}): Promise<PytorchFile> {
  const { file, size } = await openForReading(path, options.fs ?? nodeFileSystem);
  try {
    const read = inBlocks((begin, end) => readRange(file, path, begin, end), size);
    const start = await read(0, Math.min(4, size));
    const isZip = Buffer.from(start).equals(Buffer.from('PK\x03\x04', 'latin1'));
    const isTar = !isZip && (await isTarArchive(read, size));
    if (!isZip && !isTar && start[0] !== 0x80) {
      throw refused('E_PYTORCH_FORMAT', path, 'expected a file of torch.save, got other bytes at byte 0');
    }
    const { checkpoint, places } = await (isZip ? openZip : isTar ? openTar : openLegacy)(read, size, path);
    checkViews(checkpoint, size, path);
    return new PytorchFile(path, checkpoint, places, file, read);
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
}

/** An open checkpoint; {@link openPytorch} makes it. */
export class PytorchFile {
  /** All tensors, in the order of the checkpoint. */
  readonly tensors: ReadonlyMap<string, PytorchTensorInfo>;
  /** Everything that is no tensor: numbers, texts, truth values and None, by path. */
  readonly scalars: ReadonlyMap<string, Scalar>;
  /** The storage of a part that was read last: neighbours often share one. */
  private last: { key: string; bytes: Promise<Uint8Array> } | undefined;

  constructor(
    readonly path: string,
    checkpoint: Checkpoint,
    private readonly places: ReadonlyMap<string, Place>,
    private readonly file: OpenFile,
    private readonly bytesOf: ReadBytes,
  ) {
    this.tensors = checkpoint.tensors;
    this.scalars = checkpoint.scalars;
  }

  /**
   * Reads one tensor into row-major memory of its own, whatever its strides; see {@link toFloat32} for its values.
   *
   * Errors: `E_PYTORCH_NO_TENSOR`, `E_PYTORCH_CHECKSUM`, `E_READ`, `E_MEMORY`.
   */
  async tensor(name: string): Promise<Tensor> {
    const info = this.info(name);
    const { shape, stride, storage } = info;
    // A tensor that is all of its storage takes the bytes as they were read: no second copy.
    const whole = elementsOf(shape) === storage.count && isContiguous(shape, stride, 0);
    if (whole) return tensorFrom(info, await this.read(storage.key));
    return tensorFrom(info, gather(info, await this.shared(storage.key), this.path));
  }

  /** The values as float32: of 16 bits exactly, of 64 rounded. Errors: as above; `E_PYTORCH_DTYPE` for integers. */
  async float32(name: string): Promise<Float32Array> {
    const { dtype } = this.info(name);
    const values = dtype.includes('F') ? toFloat32(await this.tensor(name)) : undefined;
    if (values) return values;
    throw new DlcourseError({
      code: 'E_PYTORCH_DTYPE',
      class: 'mismatch',
      where: `${this.path}: tensor '${name}'`,
      problem: `expected floating-point numbers, got ${dtype}`,
      hint: 'check that these are the weights of this model',
    });
  }

  async close(): Promise<void> {
    this.last = undefined;
    await this.file.close();
  }

  private shared(key: string): Promise<Uint8Array> {
    if (this.last?.key !== key) this.last = { key, bytes: this.read(key) };
    return this.last.bytes;
  }

  private async read(key: string): Promise<Uint8Array> {
    const { begin, end, crc32: expected } = this.places.get(key)!;
    const bytes = await this.bytesOf(begin, end);
    if (expected !== undefined) checkBytes(bytes, expected, `${this.path}: storage ${key}`);
    return bytes;
  }

  private info(name: string): PytorchTensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    const near = this.tensors.size <= 5000 ? nearest(name, this.tensors.keys()) : undefined;
    throw new DlcourseError({
      code: 'E_PYTORCH_NO_TENSOR',
      class: 'mismatch',
      where: this.path,
      problem: `expected a tensor '${name}', got ${this.tensors.size} others`,
      hint: near === undefined ? 'check that these are the weights of this model' : `did you mean '${near}'?`,
    });
  }
}

async function openZip(read: ReadBytes, size: number, path: string): Promise<Opened> {
  const entries = await readZipDirectory(read, size, path);
  const roots = new Set([...entries.keys()].map(name => name.slice(0, name.indexOf('/') + 1)));
  const [root] = roots;
  const pickle = entries.get(`${root}data.pkl`);
  if (roots.size !== 1 || !pickle) {
    throw refused('E_PYTORCH_FORMAT', path, "expected one folder with 'data.pkl' in the archive, got none");
  }
  if (entries.has(`${root}constants.pkl`)) {
    throw refused('E_PYTORCH_FORMAT', path, 'expected weights, got a program (TorchScript)');
  }
  const version = entries.get(`${root}version`);
  const stated = version && (await read(version.begin, Math.min(version.end, version.begin + 16)));
  if (!stated || !/^([1-9]|10)\n?$/.test(Buffer.from(stated).toString('latin1'))) {
    throw refused('E_PYTORCH_FORMAT', path, "expected an entry 'version' of 1 to 10, got none or another");
  }
  checkBytes(stated, version.crc32, `${path}: version`);
  await requireLittleEndian(read, entries.get(`${root}byteorder`), path);
  if (pickle.end - pickle.begin > pickleLimits.bytes) {
    const problem = `expected a data.pkl of at most ${pickleLimits.bytes} bytes, got ${pickle.end - pickle.begin}`;
    throw refused('E_PYTORCH_LIMIT', path, problem);
  }
  const where = `${path}: data.pkl`;
  const bytes = await read(pickle.begin, pickle.end);
  checkBytes(bytes, pickle.crc32, where);
  const { value, end } = readPickle(bytes, 0, pytorchRules(where));
  if (end !== bytes.length) throw refused('E_PYTORCH_PICKLE', where, `expected ${end} bytes, got ${bytes.length}`);
  const checkpoint = readCheckpoint(value, where);
  const places = new Map<string, Place>();
  for (const storage of checkpoint.storages.values()) {
    const entry = entries.get(`${root}data/${storage.key}`);
    if (!entry) throw refused('E_PYTORCH_STORAGE', path, `expected an entry 'data/${storage.key}', got none`);
    checkLength(storage, entry.end - entry.begin, path);
    places.set(storage.key, entry);
  }
  return { checkpoint, places };
}

async function requireLittleEndian(read: ReadBytes, entry: ZipEntry | undefined, path: string): Promise<void> {
  if (!entry) return;
  const bytes = await read(entry.begin, Math.min(entry.end, entry.begin + 16));
  const order = Buffer.from(bytes).toString('latin1');
  if (order !== 'little') throw bigEndian(path, order);
  checkBytes(bytes, entry.crc32, `${path}: byteorder`);
}

const magic = 0x1950a86a20f9469cfc6cn;
const legacyVersion = 1001;

async function openLegacy(read: ReadBytes, size: number, path: string): Promise<Opened> {
  const head = await read(0, Math.min(size, pickleLimits.bytes));
  let at = 0;
  const next = (): PickleValue => {
    const { value, end } = readPickle(head, at, pytorchRules(path));
    at = end;
    return value;
  };
  if (next() !== magic || next() !== legacyVersion) {
    throw refused('E_PYTORCH_FORMAT', path, "expected torch.save's magic number and version 1001, got others");
  }
  const machine = next();
  const order = isNode(machine, 'dict') ? machine.values[machine.keys.lastIndexOf('little_endian')] : undefined;
  if (order !== true) throw bigEndian(path, order === false ? 'big' : 'none stated');
  const checkpoint = readCheckpoint(next(), path);
  const keys = next();
  if (!isNode(keys, 'list') || keys.items.length !== checkpoint.storages.size) {
    throw refused('E_PYTORCH_STORAGE', path, `expected a list of ${checkpoint.storages.size} storages, got another`);
  }
  const places = new Map<string, Place>();
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? checkpoint.storages.get(key) : undefined;
    if (!storage || places.has(storage.key)) {
      throw refused('E_PYTORCH_STORAGE', path, 'expected the key of each storage once, got another');
    }
    if (at + 8 > size) throw refused('E_PYTORCH_STORAGE', path, `expected storage ${storage.key}, got the end`);
    const count = Number(Buffer.from(await read(at, at + 8)).readBigUInt64LE(0));
    const begin = at + 8;
    checkLength(storage, count * dtypes[storage.dtype].bytes, path);
    at = begin + storage.count * dtypes[storage.dtype].bytes;
    if (at > size) throw refused('E_PYTORCH_STORAGE', path, `expected storage ${storage.key} to end in the file`);
    places.set(storage.key, { begin, end: at });
  }
  if (at !== size) throw refused('E_PYTORCH_STORAGE', path, `expected ${at} bytes, got ${size}`);
  return { checkpoint, places };
}

function checkLength({ key, dtype, count }: Storage, bytes: number, path: string): void {
  const expected = count * dtypes[dtype].bytes;
  if (bytes === expected) return;
  const problem = `expected ${expected} bytes for ${dtype} [${count}], got ${bytes}`;
  throw refused('E_PYTORCH_STORAGE', `${path}: storage ${key}`, problem);
}

/** A view with strides of 0 can be larger than its storage, but no tensor may be larger than the file. */
function checkViews({ tensors }: Checkpoint, size: number, path: string): void {
  for (const { name, dtype, shape } of tensors.values()) {
    const bytes = elementsOf(shape) * dtypes[dtype].bytes;
    if (bytes > size) {
      const problem = `expected a tensor no larger than the file, got ${bytes} bytes`;
      throw refused('E_PYTORCH_VIEW', `${path}: tensor '${name}'`, problem, 'save it after .contiguous()');
    }
  }
}

/** The elements of a view in row-major order, as bytes of their own. */
function gather({ dtype, shape, stride, offset }: PytorchTensorInfo, storage: Uint8Array, path: string): Uint8Array {
  const width = dtypes[dtype].bytes;
  const bytes = allocate(elementsOf(shape) * width, path);
  if (bytes.length === 0) return bytes;
  // Moved as whole numbers, so that no bit of a NaN changes.
  const array = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[width];
  const from = new array(storage.buffer as ArrayBuffer, 0, storage.length / width);
  const to = new array(bytes.buffer as ArrayBuffer);
  // Extents of 1 would be innermost loops of one turn in every 1×1 convolution.
  const axes = shape.flatMap((extent, i) => (extent > 1 ? [i] : []));
  const extents = axes.map(i => shape[i]!);
  const strides = axes.map(i => stride[i]!);
  let done = 0;
  const copy = (axis: number, begin: number): void => {
    if (isContiguous(extents, strides, axis)) {
      const count = elementsOf(extents.slice(axis));
      to.set(from.subarray(begin, begin + count) as never, done);
      done += count;
      return;
    }
    const extent = extents[axis]!;
    const step = strides[axis]!;
    if (axis === extents.length - 1) {
      for (let i = 0, at = begin; i < extent; i++, at += step) to[done++] = from[at]!;
    } else {
      for (let i = 0; i < extent; i++) copy(axis + 1, begin + i * step);
    }
  };
  copy(0, offset);
  return bytes;
}

/** Whether the axes from `axis` on lie without gaps in row-major order; strides of extents of 1 do not matter. */
function isContiguous(shape: readonly number[], stride: readonly number[], axis: number): boolean {
  let expected = 1;
  for (let i = shape.length - 1; i >= axis; i--) {
    if (shape[i] !== 1 && stride[i] !== expected) return false;
    expected *= shape[i];
  }
  return true;
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

const blockBytes = 2 ** 20;

/**
 * Serves short reads from the block that begins with the last one outside: most tensors are small, and in an archive
 * each has a header before it.
 */
function inBlocks(read: ReadBytes, size: number): ReadBytes {
  let block: { begin: number; end: number; bytes: Promise<Uint8Array> } | undefined;
  return async (begin, end) => {
    if (end - begin > blockBytes / 4) return read(begin, end);
    if (!block || begin < block.begin || end > block.end) {
      const last = Math.max(end, Math.min(begin + blockBytes, size));
      block = { begin, end: last, bytes: read(begin, last) };
    }
    const from = block.begin;
    return (await block.bytes).slice(begin - from, end - from);
  };
}

/** The bytes from `begin` to `end`, in memory of their own. */
async function readRange(file: OpenFile, path: string, begin: number, end: number): Promise<Uint8Array> {
  const bytes = allocate(end - begin, path);
  let done: number;
  try {
    done = await readFully(file, bytes, begin);
  } catch (error) {
    throw readError(path, error);
  }
  if (done === bytes.length) return bytes;
  throw refused('E_PYTORCH_FORMAT', path, `expected ${bytes.length} bytes at byte ${begin}, got ${done}`);
}

function checkBytes(bytes: Uint8Array, expected: number, where: string): void {
  const got = crc32(bytes);
  if (got === expected) return;
  const [a, b] = [expected, got].map(value => value.toString(16).padStart(8, '0'));
  throw new DlcourseError({
    code: 'E_PYTORCH_CHECKSUM',
    class: 'integrity',
    where,
    problem: `expected bytes with CRC-32 ${a}, got ${b}`,
    hint: 'the file was damaged after it was written: get it again',
  });
}

function bigEndian(path: string, order: string): DlcourseError {
  const hint = 'load and save it in PyTorch on a little-endian machine';
  return refused('E_PYTORCH_ORDER', path, `expected little-endian numbers, got '${order}'`, hint);
}

function refused(code: string, where: string, problem: string, hint = plainHint): DlcourseError {
  return new DlcourseError({ code, class: 'refusedFile', where, problem, hint });
}

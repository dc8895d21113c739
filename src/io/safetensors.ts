// Reading and writing safetensors files: tensors by name, strings as metadata, every byte under a checksum.

import { DlcourseError, nearest } from '../errors.js';
import { crc32c } from './crc32c.js';
import { type DurableOptions, writeFileDurably } from './durable.js';
import {
  allocate,
  type FileSystem,
  nodeFileSystem,
  type OpenFile,
  openForReading,
  readError,
  readFully,
} from './filesystem.js';
import { bfloat16ToFloat32, float16ToFloat32 } from './half.js';
import {
  type Dtype,
  type DtypeArray,
  damaged,
  dtypes,
  encodeHeader,
  type Header,
  headerLength,
  parseHeader,
  refused,
  requireChecksums,
  type TensorInfo,
} from './safetensors-header.js';

export { type Dtype, type DtypeArray, dtypes, limits, type TensorInfo } from './safetensors-header.js';

/** A tensor to be written: `data` holds the elements in row-major order, little-endian, in any kind of view. */
export interface TensorSource {
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  data: ArrayBufferView;
}

/** A tensor that was read; it owns its memory. F16 and BF16 come as bit patterns, see {@link toFloat32}. */
export type Tensor = { [D in Dtype]: { name: string; dtype: D; shape: number[]; data: DtypeArray<D> } }[Dtype];

export type Metadata = Iterable<readonly [string, string]>;

export interface OpenOptions {
  /** Also refuse files that carry no checksums: for what only dlcourse writes. Checksums present are always checked. */
  requireChecksums?: boolean;
  fs?: FileSystem;
}

// Reading

/**
 * Opens a safetensors file and reads its header; tensors are read when asked for. Close it when done.
 *
 * Nothing in the file is trusted: sizes are checked before memory is taken, and memory never exceeds the file's size
 * by more than the header's.
 *
 * Errors: `E_NOT_FOUND`, `E_READ`; class refusedFile with `E_SAFETENSORS_SIZE`, `_LIMIT`, `_UTF8`, `_HEADER`,
 * `_DUPLICATE`, `_NAME`, `_DTYPE`, `_SHAPE`, `_OFFSETS`; class integrity with `E_SAFETENSORS_CHECKSUM`.
 */
export async function openSafetensors(path: string, options: OpenOptions = {}): Promise<SafetensorsFile> {
  const { file, size } = await openForReading(path, options.fs ?? nodeFileSystem);
  try {
    const prefix = await readRange(file, path, 0, Math.min(8, size));
    const header = parseHeader(await readRange(file, path, 0, 8 + headerLength(prefix, size, path)), size, path);
    if (options.requireChecksums) requireChecksums(header, path);
    return new SafetensorsFile(path, header, file);
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
}

/** An open file; {@link openSafetensors} makes it. */
export class SafetensorsFile {
  /** All tensors, in the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  readonly hasChecksums: boolean;

  constructor(
    readonly path: string,
    header: Header,
    private readonly file: OpenFile,
  ) {
    this.tensors = header.tensors;
    this.metadata = header.metadata;
    this.hasChecksums = header.hasChecksums;
  }

  /** Reads one tensor and checks its bytes. Errors: `E_SAFETENSORS_NO_TENSOR`, `E_SAFETENSORS_CHECKSUM`, `E_READ`. */
  async tensor(name: string): Promise<Tensor> {
    const info = this.info(name);
    const bytes = await readRange(this.file, this.path, info.begin, info.end);
    checkTensor(info, crc32c(bytes), this.path);
    return tensorFrom(info, bytes);
  }

  /** Reads all tensors, in the order of their bytes. */
  async readAll(): Promise<Map<string, Tensor>> {
    const tensors = new Map<string, Tensor>();
    for (const name of this.tensors.keys()) tensors.set(name, await this.tensor(name));
    return tensors;
  }

  /** Reads the whole file once, in small pieces, and checks every tensor's bytes. */
  async verify(): Promise<void> {
    const piece = 4 * 2 ** 20;
    for (const info of this.tensors.values()) {
      let crc = 0;
      for (let at = info.begin; at < info.end; at += piece) {
        crc = crc32c(await readRange(this.file, this.path, at, Math.min(at + piece, info.end)), crc);
      }
      checkTensor(info, crc, this.path);
    }
  }

  async close(): Promise<void> {
    await this.file.close();
  }

  private info(name: string): TensorInfo {
    const info = this.tensors.get(name);
    if (info) return info;
    const near = this.tensors.size <= 5000 ? nearest(name, this.tensors.keys()) : undefined;
    throw new DlcourseError({
      code: 'E_SAFETENSORS_NO_TENSOR',
      class: 'mismatch',
      where: this.path,
      problem: `expected a tensor '${name}', got ${this.tensors.size} others`,
      hint: near === undefined ? 'check that these are the weights of this model' : `did you mean '${near}'?`,
    });
  }
}

/** Opens, reads everything and closes. */
export async function readSafetensors(
  path: string,
  options: OpenOptions = {},
): Promise<{ tensors: Map<string, Tensor>; metadata: ReadonlyMap<string, string> }> {
  const file = await openSafetensors(path, options);
  try {
    return { tensors: await file.readAll(), metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/** The same for a file that is in memory; `where` names it in errors. The tensors are copies. */
export function decodeSafetensors(
  bytes: Uint8Array,
  where: string,
): { tensors: Map<string, Tensor>; metadata: ReadonlyMap<string, string>; hasChecksums: boolean } {
  const { tensors, metadata, hasChecksums } = parseHeader(bytes, bytes.length, where);
  const read = (info: TensorInfo): Tensor => {
    const content = bytes.slice(info.begin, info.end);
    checkTensor(info, crc32c(content), where);
    return tensorFrom(info, content);
  };
  return { tensors: new Map([...tensors].map(([name, info]) => [name, read(info)])), metadata, hasChecksums };
}

/** A tensor's values as float32: F16 and BF16 exactly, F64 rounded; undefined for the integer types. */
export function toFloat32(tensor: Tensor): Float32Array | undefined {
  switch (tensor.dtype) {
    case 'F32':
      return tensor.data;
    case 'F16':
      return float16ToFloat32(tensor.data);
    case 'BF16':
      return bfloat16ToFloat32(tensor.data);
    case 'F64':
      return Float32Array.from(tensor.data);
    default:
      return undefined;
  }
}

// Writing

/**
 * Writes a safetensors file all or nothing, with a checksum for every tensor and for the header. `data` must not
 * change before the promise resolves.
 *
 * Tensors lie in the given order within one element size, wider elements first, so that each is aligned.
 * Errors: `E_SAFETENSORS_WRITE` (names, shapes, sizes), `E_WRITE`.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorSource>,
  metadata: Metadata = [],
  options: DurableOptions = {},
): Promise<void> {
  await writeFileDurably(path, safetensorsChunks(path, tensors, metadata), options);
}

/** The file as one array of bytes; `where` names it in errors. */
export function encodeSafetensors(tensors: Iterable<TensorSource>, metadata: Metadata, where: string): Uint8Array {
  return new Uint8Array(Buffer.concat(safetensorsChunks(where, tensors, metadata)));
}

function safetensorsChunks(where: string, sources: Iterable<TensorSource>, metadata: Metadata): Uint8Array[] {
  const tensors = [...sources]
    .map(({ name, dtype, shape, data }) => ({ name, dtype, shape, bytes: bytesOf(data) }))
    .sort((a, b) => dtypes[b.dtype].bytes - dtypes[a.dtype].bytes);
  const header = encodeHeader(
    tensors.map(({ bytes, ...rest }) => ({ ...rest, byteLength: bytes.length, crc32c: crc32c(bytes) })),
    metadata,
    where,
  );
  return [header, ...tensors.map(tensor => tensor.bytes)];
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function checkTensor(info: TensorInfo, crc: number, path: string): void {
  if (info.crc32c === undefined || info.crc32c === crc) return;
  const [expected, got] = [info.crc32c, crc].map(value => value.toString(16).padStart(8, '0'));
  throw damaged(`${path}: tensor '${info.name}'`, `expected bytes with CRC32C ${expected}, got ${got}`);
}

/** The tensor whose elements are these bytes, row-major; they start at the beginning of their buffer. */
export function tensorFrom(
  { name, dtype, shape }: Pick<TensorInfo, 'name' | 'dtype' | 'shape'>,
  bytes: Uint8Array,
): Tensor {
  const { array, bytes: elementBytes } = dtypes[dtype];
  const data = new array(bytes.buffer as ArrayBuffer, 0, bytes.length / elementBytes);
  return { name, dtype, shape: [...shape], data } as Tensor;
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
  throw refused('E_SAFETENSORS_SIZE', path, `expected ${bytes.length} bytes at byte ${begin}, got ${done}`);
}

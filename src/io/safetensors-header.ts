// The header of a safetensors file: what may stand in it, how it is read without trust and how ours is protected.
//
// Layout: 8 bytes N (little-endian), N bytes of JSON, then the tensors, without gaps. The JSON maps each tensor to
// {dtype, shape, data_offsets}, and "__metadata__" to a map of strings. https://github.com/huggingface/safetensors
//
// Two metadata entries of our own make damage visible and stay readable by every safetensors tool:
//   dlcourse.header_sha256  SHA-256 of N and the header, its own 64 digits taken as zeros; always the first entry,
//                           so that it is found and checked before anything is parsed
//   dlcourse.crc32c         a JSON map from each tensor to the CRC32C of its bytes, 8 hexadecimal digits

import { createHash } from 'node:crypto';
import { DlcourseError, type ErrorClass } from '../errors.js';
import { clip, JsonScanError, JsonScanner } from './json-scanner.js';

/** Element types: bytes per element, and the array that holds them in JavaScript (16-bit floats as bit patterns). */
export const dtypes = {
  BOOL: { bytes: 1, array: Uint8Array },
  U8: { bytes: 1, array: Uint8Array },
  I8: { bytes: 1, array: Int8Array },
  F8_E4M3: { bytes: 1, array: Uint8Array },
  F8_E5M2: { bytes: 1, array: Uint8Array },
  U16: { bytes: 2, array: Uint16Array },
  I16: { bytes: 2, array: Int16Array },
  F16: { bytes: 2, array: Uint16Array },
  BF16: { bytes: 2, array: Uint16Array },
  U32: { bytes: 4, array: Uint32Array },
  I32: { bytes: 4, array: Int32Array },
  F32: { bytes: 4, array: Float32Array },
  U64: { bytes: 8, array: BigUint64Array },
  I64: { bytes: 8, array: BigInt64Array },
  F64: { bytes: 8, array: Float64Array },
} as const;

export type Dtype = keyof typeof dtypes;
export type DtypeArray<D extends Dtype> = InstanceType<(typeof dtypes)[D]['array']>;

/** What a file may hold at most. Real files stay far below; larger figures only serve to exhaust a reader. */
export const limits = {
  headerBytes: 16 * 2 ** 20,
  tensors: 100_000,
  metadataEntries: 10_000,
  rank: 8,
  nameBytes: 512,
} as const;

/** Where a tensor lies: `begin` and `end` in bytes from the start of the file. */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
  /** CRC32C of its bytes; undefined in files without checksums. */
  readonly crc32c: number | undefined;
}

export interface Header {
  /** In the order of their bytes. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Without the two entries that protect the file. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Whether the file carries, and its header passed, our checksums. */
  readonly hasChecksums: boolean;
}

const digestKey = 'dlcourse.header_sha256';
const checksumsKey = 'dlcourse.crc32c';
const digestPrefix = Buffer.from(`{"__metadata__":{"${digestKey}":"`);
const digestLength = 64;

/** The length of the header, from the first 8 bytes of a file of `fileSize` bytes. */
export function headerLength(prefix: Uint8Array, fileSize: number, where: string): number {
  if (prefix.length < 8) {
    throw refused('E_SAFETENSORS_SIZE', where, `expected at least 8 bytes, got ${prefix.length}`);
  }
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > limits.headerBytes) {
    const problem = `expected a header of at most ${limits.headerBytes} bytes, got ${length} at byte 0`;
    throw refused('E_SAFETENSORS_LIMIT', where, problem);
  }
  if (length > fileSize - 8) {
    const problem = `expected a header of ${length} bytes at byte 8, got a file of ${fileSize} bytes`;
    throw refused('E_SAFETENSORS_SIZE', where, problem);
  }
  return Number(length);
}

/**
 * Reads the header from the first 8 + N bytes of a file of `fileSize` bytes.
 *
 * Errors: `E_SAFETENSORS_*`, class refusedFile; `E_SAFETENSORS_CHECKSUM`, class integrity, where our own header is
 * damaged.
 */
export function parseHeader(prefixAndHeader: Uint8Array, fileSize: number, where: string): Header {
  const length = headerLength(prefixAndHeader, fileSize, where);
  const bytes = prefixAndHeader.subarray(8, 8 + length);
  if (bytes[0] !== 0x7b) {
    throw refused('E_SAFETENSORS_HEADER', `${where}: header byte 0`, `expected '{', got ${byteName(bytes[0])}`);
  }
  const digested = startsWith(bytes, digestPrefix);
  if (digested) checkDigest(prefixAndHeader.subarray(0, 8 + length), where);

  const { tensors, metadata } = scanHeader(decodeUtf8(bytes, where), where);
  const ordered = checkLayout(tensors, 8 + length, fileSize, where);
  const checksums = metadata.get(checksumsKey);
  const ours = [...metadata.keys()].some(key => key.startsWith('dlcourse.'));
  if (ours && !(digested && checksums !== undefined)) {
    throw damaged(where, `expected '${digestKey}' first and '${checksumsKey}' in the metadata, got a file without`);
  }
  const crcs = checksums === undefined ? undefined : scanChecksums(checksums, ordered, where);
  metadata.delete(digestKey);
  metadata.delete(checksumsKey);
  return {
    tensors: new Map(ordered.map(tensor => [tensor.name, { ...tensor, crc32c: crcs?.get(tensor.name) }])),
    metadata,
    hasChecksums: digested,
  };
}

/** The first 8 + N bytes of a file with these tensors in this order, each with its checksum; N + 8 is a multiple of 8. */
export function encodeHeader(
  tensors: readonly { name: string; dtype: Dtype; shape: readonly number[]; byteLength: number; crc32c: number }[],
  metadata: Iterable<readonly [string, string]>,
  where: string,
): Uint8Array {
  if (tensors.length > limits.tensors) {
    throw unwritable(where, `expected at most ${limits.tensors} tensors, got ${tensors.length}`);
  }
  // Written by hand: an object would put names such as '7' first and lose '__proto__'.
  const member = (key: string, value: string) => `${JSON.stringify(key)}:${value}`;
  const checksums = tensors.map(t => member(t.name, `"${t.crc32c.toString(16).padStart(8, '0')}"`));
  const entries = [member(checksumsKey, JSON.stringify(`{${checksums.join(',')}}`))];
  const keys = new Set([digestKey, checksumsKey]);
  for (const [key, value] of metadata) {
    if (keys.has(key)) throw unwritable(where, `expected each metadata key once, got '${key}' again`);
    if (hasLoneSurrogate(key + value)) throw unwritable(where, `expected well-formed text in metadata '${key}'`);
    keys.add(key);
    entries.push(member(key, JSON.stringify(value)));
  }
  const parts: string[] = [];
  const names = new Set<string>();
  let offset = 0;
  for (const tensor of tensors) {
    const problem = nameProblem(tensor.name) ?? shapeProblem(tensor.dtype, tensor.shape, tensor.byteLength);
    if (problem) throw unwritable(`${where}: tensor '${tensor.name}'`, problem);
    if (names.has(tensor.name)) throw unwritable(`${where}: tensor '${tensor.name}'`, 'expected each name once');
    names.add(tensor.name);
    const range = `[${offset},${offset + tensor.byteLength}]`;
    offset += tensor.byteLength;
    const info = `{"dtype":"${tensor.dtype}","shape":[${tensor.shape.join(',')}],"data_offsets":${range}}`;
    parts.push(`,${member(tensor.name, info)}`);
  }
  const json = `${digestPrefix}${'0'.repeat(digestLength)}",${entries.join(',')}}${parts.join('')}}`;
  const length = Math.ceil(Buffer.byteLength(json) / 8) * 8;
  if (length > limits.headerBytes) {
    throw unwritable(where, `expected a header of at most ${limits.headerBytes} bytes, got ${length}`);
  }
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length), 0);
  bytes.write(json, 8);
  bytes.write(headerDigest(bytes), 8 + digestPrefix.length);
  return bytes;
}

/** Refuses a file that is not one of ours, or whose protection was stripped. */
export function requireChecksums(header: Header, where: string): void {
  if (!header.hasChecksums) throw damaged(where, 'expected the checksums that dlcourse writes, got a file without');
}

/** The error of a tensor or header whose bytes are not those that were written. */
export function damaged(where: string, problem: string): DlcourseError {
  const hint = 'the file was damaged or changed after it was written: use an earlier checkpoint or copy it again';
  return failure('E_SAFETENSORS_CHECKSUM', 'integrity', where, problem, hint);
}

export function refused(code: string, where: string, problem: string): DlcourseError {
  return failure(code, 'refusedFile', where, problem, 'the file is not valid safetensors: get or convert it again');
}

export function unwritable(where: string, problem: string): DlcourseError {
  return failure('E_SAFETENSORS_WRITE', 'usage', where, problem);
}

function failure(code: string, errorClass: ErrorClass, where: string, problem: string, hint?: string): DlcourseError {
  return new DlcourseError({ code, class: errorClass, where, problem, hint });
}

type Extent = Omit<TensorInfo, 'crc32c'>;

function scanHeader(text: string, where: string): { tensors: Extent[]; metadata: Map<string, string> } {
  const tensors: Extent[] = [];
  const metadata = new Map<string, string>();
  const scanner = new JsonScanner(text);
  scan(text, where, () => {
    scanner.object('the header', (name, position) => {
      if (name === '__metadata__') {
        scanner.object('__metadata__', key => {
          if (metadata.size === limits.metadataEntries) {
            const problem = `expected at most ${limits.metadataEntries} metadata entries, got more`;
            throw refused('E_SAFETENSORS_LIMIT', where, problem);
          }
          metadata.set(key, scanner.string('a metadata value'));
        });
        return;
      }
      if (tensors.length === limits.tensors) {
        throw refused('E_SAFETENSORS_LIMIT', where, `expected at most ${limits.tensors} tensors, got more`);
      }
      const problem = nameProblem(name);
      if (problem) throw refused('E_SAFETENSORS_NAME', `${where}: header byte ${byteOffset(text, position)}`, problem);
      tensors.push(scanTensor(scanner, name, `${where}: tensor '${name}'`));
    });
    scanner.end();
  });
  return { tensors, metadata };
}

function scanTensor(scanner: JsonScanner, name: string, where: string): Extent {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  scanner.object(`tensor '${name}'`, key => {
    if (key === 'dtype') dtype = scanner.string('a dtype');
    else if (key === 'shape') shape = scanIntegers(scanner, 'shape', limits.rank, where);
    else if (key === 'data_offsets') offsets = scanIntegers(scanner, 'data_offsets', 2, where);
    else throw refused('E_SAFETENSORS_HEADER', where, `expected dtype, shape and data_offsets, got '${clip(key)}'`);
  });
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    const missing = dtype === undefined ? 'dtype' : shape === undefined ? 'shape' : 'data_offsets';
    throw refused('E_SAFETENSORS_HEADER', where, `expected dtype, shape and data_offsets, got no ${missing}`);
  }
  if (!isDtype(dtype)) {
    const problem = `expected a dtype of ${Object.keys(dtypes).join(', ')}, got '${clip(dtype)}'`;
    throw refused('E_SAFETENSORS_DTYPE', where, problem);
  }
  if (offsets.length !== 2) {
    throw refused('E_SAFETENSORS_OFFSETS', where, `expected two data_offsets, got ${offsets.length}`);
  }
  return { name, dtype, shape, begin: offsets[0], end: offsets[1] };
}

function scanIntegers(scanner: JsonScanner, what: string, most: number, where: string): number[] {
  const numbers: number[] = [];
  scanner.array(what, () => {
    if (numbers.length === most) {
      throw refused('E_SAFETENSORS_LIMIT', where, `expected at most ${most} numbers in ${what}, got more`);
    }
    numbers.push(scanner.integer(`a number in ${what}`));
  });
  return numbers;
}

/** Orders the tensors by their bytes and makes sure that these follow each other and fill the file exactly. */
function checkLayout(tensors: Extent[], dataStart: number, fileSize: number, where: string): Extent[] {
  const ordered = tensors.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let offset = 0;
  for (const { name, dtype, shape, begin, end } of ordered) {
    const at = `${where}: tensor '${name}'`;
    if (begin !== offset || end < begin) {
      const problem = `expected data_offsets to begin at ${offset} and not to end before, got [${begin}, ${end}]`;
      throw refused('E_SAFETENSORS_OFFSETS', at, problem);
    }
    const bytes = checkedProduct([...shape, dtypes[dtype].bytes]);
    if (bytes === undefined) {
      throw refused('E_SAFETENSORS_SHAPE', at, `expected fewer than 2^53 bytes, got ${dtype} [${shape.join(', ')}]`);
    }
    if (bytes !== end - begin) {
      const problem = `expected ${bytes} bytes for ${dtype} [${shape.join(', ')}], got ${end - begin}`;
      throw refused('E_SAFETENSORS_SHAPE', at, problem);
    }
    offset = end;
  }
  if (offset !== fileSize - dataStart) {
    const problem = `expected ${offset} bytes of tensors from byte ${dataStart}, got ${fileSize - dataStart}`;
    throw refused('E_SAFETENSORS_SIZE', where, problem);
  }
  return ordered.map(tensor => ({ ...tensor, begin: dataStart + tensor.begin, end: dataStart + tensor.end }));
}

function scanChecksums(text: string, tensors: Extent[], where: string): Map<string, number> {
  const crcs = new Map<string, number>();
  const scanner = new JsonScanner(text);
  const at = `${where}: metadata '${checksumsKey}'`;
  scan(text, at, () => {
    scanner.object('the checksums', name => {
      if (crcs.size === tensors.length) throw damaged(at, 'expected one checksum a tensor, got more');
      const digits = scanner.string('a checksum');
      if (!/^[0-9a-f]{8}$/.test(digits)) throw damaged(at, `expected 8 hexadecimal digits, got '${clip(digits)}'`);
      crcs.set(name, Number.parseInt(digits, 16));
    });
    scanner.end();
  });
  const missing = tensors.find(tensor => !crcs.has(tensor.name));
  if (missing) throw damaged(at, `expected one checksum a tensor, got none for '${missing.name}'`);
  return crcs;
}

function checkDigest(prefixAndHeader: Uint8Array, where: string): void {
  const start = 8 + digestPrefix.length;
  const stored = Buffer.from(prefixAndHeader.subarray(start, start + digestLength)).toString('latin1');
  if (stored !== headerDigest(prefixAndHeader)) {
    throw damaged(`${where}: header`, `expected the SHA-256 '${stored}', got another`);
  }
}

/** SHA-256 of the prefix and header with the 64 digits at their place taken as zeros. */
function headerDigest(prefixAndHeader: Uint8Array): string {
  const start = 8 + digestPrefix.length;
  return createHash('sha256')
    .update(prefixAndHeader.subarray(0, start))
    .update('0'.repeat(digestLength))
    .update(prefixAndHeader.subarray(start + digestLength))
    .digest('hex');
}

function scan(text: string, where: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof JsonScanError)) throw error;
    const code = error.kind === 'duplicate' ? 'E_SAFETENSORS_DUPLICATE' : 'E_SAFETENSORS_HEADER';
    throw refused(code, `${where}: header byte ${byteOffset(text, error.position)}`, error.problem);
  }
}

/** The place in the header's bytes of a place in its text. */
function byteOffset(text: string, position: number): number {
  return Buffer.byteLength(text.slice(0, position));
}

function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refused('E_SAFETENSORS_UTF8', `${where}: header`, 'expected UTF-8, got other bytes');
  }
}

/** The product, or undefined from 2⁵³ on. */
export function checkedProduct(factors: readonly number[]): number | undefined {
  let product = 1;
  for (const factor of factors) {
    product *= factor;
    if (product > Number.MAX_SAFE_INTEGER) return undefined;
  }
  return product;
}

function nameProblem(name: string): string | undefined {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > limits.nameBytes) return `expected a name of 1 to ${limits.nameBytes} bytes, got ${bytes}`;
  if (hasLoneSurrogate(name) || name.normalize('NFC') !== name) return `expected a name in Unicode NFC, got '${name}'`;
  return name === '__metadata__' ? `expected a tensor's name, got the reserved '__metadata__'` : undefined;
}

function shapeProblem(dtype: Dtype, shape: readonly number[], byteLength: number): string | undefined {
  if (shape.length > limits.rank || !shape.every(extent => Number.isSafeInteger(extent) && extent >= 0)) {
    return `expected up to ${limits.rank} non-negative whole extents, got [${shape.join(', ')}]`;
  }
  const bytes = checkedProduct([...shape, dtypes[dtype].bytes]);
  return bytes === byteLength
    ? undefined
    : `expected ${bytes} bytes for ${dtype} [${shape.join(', ')}], got ${byteLength}`;
}

function hasLoneSurrogate(text: string): boolean {
  return /\p{Surrogate}/u.test(text);
}

function isDtype(name: string): name is Dtype {
  return Object.hasOwn(dtypes, name);
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length + digestLength && prefix.every((byte, i) => bytes[i] === byte);
}

function byteName(byte: number | undefined): string {
  return byte === undefined ? 'an empty header' : `0x${byte.toString(16).padStart(2, '0')}`;
}

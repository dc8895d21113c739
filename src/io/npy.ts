// NumPy's .npy files: one array a file, read without evaluating anything, written as version 1.0.
//
// Layout: "\x93NUMPY", version, header length (2 bytes in version 1, 4 in versions 2 and 3), a Python dict literal with
// descr, fortran_order and shape, then the elements. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

import { DlcourseError } from '../errors.js';
import { type DurableOptions, writeFileDurably } from './durable.js';
import { type FileSystem, nodeFileSystem, openForReading, readError, readFully } from './filesystem.js';
import { float16ToFloat32 } from './half.js';

const kinds = {
  '<f4': { bytes: 4, array: Float32Array },
  '<f8': { bytes: 8, array: Float64Array },
  '<f2': { bytes: 2, array: Uint16Array },
  '|u1': { bytes: 1, array: Uint8Array },
  '|i1': { bytes: 1, array: Int8Array },
  '<u2': { bytes: 2, array: Uint16Array },
  '<i2': { bytes: 2, array: Int16Array },
  '<i4': { bytes: 4, array: Int32Array },
  '<i8': { bytes: 8, array: BigInt64Array },
} as const;

export type NpyDescr = keyof typeof kinds;

/** An array from a .npy file, row-major; `<f2` comes as bit patterns. */
export type NpyArray = {
  [D in NpyDescr]: { descr: D; shape: number[]; data: InstanceType<(typeof kinds)[D]['array']> };
}[NpyDescr];

const magic = Buffer.from('\x93NUMPY', 'latin1');
const maxHeaderBytes = 65_536;
const maxRank = 8;

/**
 * Reads a .npy file of version 1.0 to 3.0, in C order, with one of the element types above.
 *
 * Errors: `E_NOT_FOUND`, `E_READ`; class refusedFile with `E_NPY_HEADER`, `E_NPY_TYPE`, `E_NPY_ORDER`, `E_NPY_SIZE`.
 */
export async function readNpy(path: string, fs: FileSystem = nodeFileSystem): Promise<NpyArray> {
  const { file, size } = await openForReading(path, fs);
  try {
    const start = new Uint8Array(Math.min(size, 12 + maxHeaderBytes));
    const available = await readFully(file, start, 0);
    const { info, dataStart, bytes } = parseHeader(start.subarray(0, available), size, path);
    const content = new Uint8Array(bytes);
    if ((await readFully(file, content, dataStart)) < bytes) throw sizeError(path, bytes, size - dataStart);
    return arrayFrom(info, content);
  } catch (error) {
    throw error instanceof DlcourseError ? error : readError(path, error);
  } finally {
    await file.close().catch(() => {});
  }
}

/** The same for a file that is in memory; `where` names it in errors. The data are a copy. */
export function decodeNpy(bytes: Uint8Array, where: string): NpyArray {
  const { info, dataStart } = parseHeader(bytes, bytes.length, where);
  return arrayFrom(info, bytes.slice(dataStart));
}

/** The values as float32: float64 and 64-bit integers rounded, all others exact. */
export function npyToFloat32(array: NpyArray): Float32Array {
  if (array.descr === '<f4') return array.data;
  if (array.descr === '<f2') return float16ToFloat32(array.data);
  if (array.descr === '<i8') return Float32Array.from(array.data, Number);
  return Float32Array.from(array.data);
}

/** Writes a float32 array, all or nothing. Errors: `E_WRITE`. */
export async function writeNpy(
  path: string,
  data: Float32Array,
  shape: readonly number[],
  options: DurableOptions = {},
): Promise<void> {
  await writeFileDurably(path, encodeNpy(data, shape), options);
}

/** A float32 array as the bytes of a .npy file. */
export function encodeNpy(data: Float32Array, shape: readonly number[]): Uint8Array {
  const count = shape.reduce((product, extent) => product * extent, 1);
  if (count !== data.length) throw new RangeError(`npy: expected ${count} values for [${shape}], got ${data.length}`);
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dict = `{'descr': '<f4', 'fortran_order': False, 'shape': (${tuple}), }`;
  const length = Math.ceil((10 + dict.length + 1) / 64) * 64 - 10; // the data begin at a multiple of 64, as NumPy's do
  const bytes = Buffer.alloc(10 + length + data.byteLength, ' ');
  magic.copy(bytes);
  bytes.set([1, 0], 6);
  bytes.writeUInt16LE(length, 8);
  bytes.write(dict, 10, 'latin1');
  bytes[10 + length - 1] = 0x0a;
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + length);
  return bytes;
}

interface Info {
  descr: NpyDescr;
  shape: number[];
}

function parseHeader(start: Uint8Array, fileSize: number, where: string) {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.length);
  if (bytes.length < 10 || !bytes.subarray(0, 6).equals(magic)) {
    throw refused('E_NPY_HEADER', `${where}: byte 0`, "expected NumPy's signature '\\x93NUMPY', got other bytes");
  }
  const major = bytes[6];
  if (major < 1 || major > 3 || bytes[7] !== 0) {
    const problem = `expected version 1.0, 2.0 or 3.0, got ${major}.${bytes[7]}`;
    throw refused('E_NPY_HEADER', `${where}: byte 6`, problem);
  }
  const headerStart = major === 1 ? 10 : 12;
  if (bytes.length < headerStart) throw refused('E_NPY_HEADER', where, 'expected a header, got the end of the file');
  const length = major === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  if (length > maxHeaderBytes || headerStart + length > fileSize) {
    const problem = `expected a header of at most ${Math.min(maxHeaderBytes, fileSize - headerStart)} bytes, got ${length}`;
    throw refused('E_NPY_HEADER', `${where}: byte 8`, problem);
  }
  // Names of fields, the only place for other characters, are not among what we read: ASCII is enough.
  const info = parseDict(bytes.subarray(headerStart, headerStart + length).toString('latin1'), where);
  const dataStart = headerStart + length;
  const bytesNeeded = byteCount(info, where);
  if (fileSize - dataStart !== bytesNeeded) throw sizeError(where, bytesNeeded, fileSize - dataStart);
  return { info, dataStart, bytes: bytesNeeded };
}

const token =
  /\s*(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(True|False)|\(((?:\s*\d{1,16}L?\s*,)*(?:\s*\d{1,16}L?)?\s*)\)|([{}:,]))/y;

/** Reads `{'descr': '…', 'fortran_order': False, 'shape': (…)}`, keys in any order; nothing is evaluated. */
function parseDict(text: string, where: string): Info {
  token.lastIndex = 0;
  const refuse = (problem: string) => refused('E_NPY_HEADER', `${where}: header`, problem);
  const next = () => {
    const at = token.lastIndex;
    const match = token.exec(text);
    if (!match) throw refuse(`expected a dict with descr, fortran_order and shape, got '${text.slice(at, at + 24)}'`);
    const [, single, double, truth, tuple, mark] = match;
    return { string: single ?? double, truth, tuple, mark };
  };
  const found = new Map<string, ReturnType<typeof next>>();
  if (next().mark !== '{') throw refuse(`expected a dict, got '${text.slice(0, 24)}'`);
  for (let item = next(); item.mark !== '}'; item = next()) {
    const key = item.string;
    if (key === undefined || !['descr', 'fortran_order', 'shape'].includes(key) || found.has(key)) {
      throw refuse(`expected descr, fortran_order and shape once each, got '${key ?? item.mark ?? 'a value'}'`);
    }
    if (next().mark !== ':') throw refuse(`expected ':' after '${key}'`);
    found.set(key, next());
    const separator = next().mark;
    if (separator === '}') break;
    if (separator !== ',') throw refuse(`expected ',' after the value of '${key}'`);
  }
  if (/[^ \n]/.test(text.slice(token.lastIndex))) throw refuse('expected nothing but blanks after the dict');
  return checkFields(found.get('descr')?.string, found.get('fortran_order')?.truth, found.get('shape')?.tuple, where);
}

function checkFields(descr?: string, fortranOrder?: string, shapeText?: string, where = ''): Info {
  if (descr === undefined || fortranOrder === undefined || shapeText === undefined) {
    throw refused('E_NPY_HEADER', `${where}: header`, 'expected a type, an order and a shape, got fewer or others');
  }
  if (!Object.hasOwn(kinds, descr)) {
    const hint = descr.startsWith('>') ? "save x.astype(x.dtype.newbyteorder('<'))" : "save x.astype('float32')";
    const problem = `expected a type of ${Object.keys(kinds).join(' ')}, got '${descr.slice(0, 32)}'`;
    throw refused('E_NPY_TYPE', `${where}: header`, problem, hint);
  }
  if (fortranOrder === 'True') {
    throw refused('E_NPY_ORDER', where, 'expected C order, got Fortran order', 'save np.ascontiguousarray(x)');
  }
  const shape = (shapeText.match(/\d+/g) ?? []).map(Number);
  if (shape.length > maxRank || (shape.length === 1 && !shapeText.includes(','))) {
    throw refused(
      'E_NPY_HEADER',
      `${where}: header`,
      `expected a shape of at most ${maxRank} numbers, got (${shapeText})`,
    );
  }
  return { descr: descr as NpyDescr, shape };
}

function byteCount({ descr, shape }: Info, where: string): number {
  let bytes: number = kinds[descr].bytes;
  for (const extent of shape) {
    bytes *= extent;
    if (!Number.isSafeInteger(bytes) || !Number.isSafeInteger(extent)) {
      throw refused('E_NPY_SIZE', where, `expected fewer than 2^53 bytes, got ${descr} (${shape.join(', ')})`);
    }
  }
  return bytes;
}

function arrayFrom({ descr, shape }: Info, content: Uint8Array): NpyArray {
  const { array, bytes } = kinds[descr];
  return { descr, shape, data: new array(content.buffer as ArrayBuffer, 0, content.length / bytes) } as NpyArray;
}

function sizeError(where: string, expected: number, got: number): DlcourseError {
  return refused('E_NPY_SIZE', where, `expected ${expected} bytes of elements, got ${got}`);
}

function refused(code: string, where: string, problem: string, hint = 'write the file again with numpy.save') {
  return new DlcourseError({ code, class: 'refusedFile', where, problem, hint });
}

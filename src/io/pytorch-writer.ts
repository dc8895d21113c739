// Writing PyTorch checkpoints: the zip format of torch.save, a state_dict of plain tensors, nothing else in it.
// torch/serialization.py, _save; caffe2/serialize/inline_container.cc: https://github.com/pytorch/pytorch

import { DlcourseError } from '../errors.js';
import { crc32 } from './crc32c.js';
import { type DurableOptions, writeFileDurably } from './durable.js';
import type { Dtype, TensorSource } from './safetensors.js';

/** Contents begin at multiples of this, as PyTorch's do, so that they can be mapped into memory. */
const alignment = 64;
const root = 'archive';

const storageTypes: Partial<Record<Dtype, string>> = {
  F64: 'DoubleStorage',
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  BF16: 'BFloat16Storage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  I16: 'ShortStorage',
  I8: 'CharStorage',
  U8: 'ByteStorage',
  BOOL: 'BoolStorage',
};

/**
 * Writes a state_dict that `torch.load(path, weights_only=True)` reads (PyTorch 1.6 and later): all or nothing, each
 * tensor in a storage of its own, in the order given. `data` must not change before the promise resolves.
 *
 * Errors: `E_PYTORCH_WRITE` for what the format cannot hold (a type, a name twice, 4 GiB in all); `E_WRITE`.
 */
export async function writePytorch(
  path: string,
  tensors: Iterable<TensorSource>,
  options: DurableOptions = {},
): Promise<void> {
  await writeFileDurably(path, pytorchChunks(path, [...tensors]), options);
}

function pytorchChunks(path: string, tensors: readonly TensorSource[]): Uint8Array[] {
  const names = new Set<string>();
  for (const { name, dtype } of tensors) {
    if (names.has(name)) throw refused(path, 'each name once', `'${name}' twice`);
    if (!storageTypes[dtype]) throw refused(`${path}: tensor '${name}'`, `a type of PyTorch's storages`, dtype);
    names.add(name);
  }
  const contents = tensors.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  const entries: Entry[] = [
    { name: 'data.pkl', content: statePickle(tensors, path) },
    { name: 'byteorder', content: ascii('little') },
    ...contents.map((content, i) => ({ name: `data/${i}`, content })),
    { name: 'version', content: ascii('3\n') },
  ];
  return zip(entries, path);
}

interface Entry {
  name: string;
  content: Uint8Array;
}

/** A zip archive of stored entries, with sizes and checksums before the contents: PKWARE, APPNOTE.TXT 6.3. */
function zip(entries: readonly Entry[], path: string): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  const add = (chunk: Uint8Array): void => {
    chunks.push(chunk);
    at += chunk.length;
  };
  for (const { name, content } of entries) {
    const header = at;
    const full = ascii(`${root}/${name}`);
    const fixed = fields({ crc: crc32(content), size: content.length, nameLength: full.length });
    // An extra field 'FB' of zeros fills up to the alignment.
    const begin = at + 30 + full.length + 4;
    const padding = new Uint8Array(4 + ((alignment - (begin % alignment)) % alignment));
    padding.set(ascii('FB'));
    new DataView(padding.buffer).setUint16(2, padding.length - 4, true);
    add(local(fixed, padding.length));
    add(full);
    add(padding);
    add(content);
    directory.push(central(fixed, header), full);
    if (at > 0xffffffff - 2 ** 24) {
      throw refused(path, 'less than 4 GiB of tensors', 'more', 'write it as safetensors');
    }
  }
  const begin = at;
  for (const record of directory) add(record);
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x06054b50, true);
  if (entries.length >= 0xffff) throw refused(path, 'at most 65,000 tensors', `${entries.length}`);
  end.setUint16(8, entries.length, true);
  end.setUint16(10, entries.length, true);
  end.setUint32(12, at - begin, true);
  end.setUint32(16, begin, true);
  add(new Uint8Array(end.buffer));
  return chunks;
}

/** What both headers of an entry say: version to read it, flags, method, time, checksum, sizes, length of the name. */
function fields({ crc, size, nameLength }: { crc: number; size: number; nameLength: number }): Uint8Array {
  const view = new DataView(new ArrayBuffer(26));
  view.setUint16(0, 10, true);
  // The first day that the format knows: the same weights make the same file.
  view.setUint16(8, 0x21, true);
  view.setUint32(10, crc, true);
  view.setUint32(14, size, true);
  view.setUint32(18, size, true);
  view.setUint16(22, nameLength, true);
  return new Uint8Array(view.buffer);
}

function local(fixed: Uint8Array, extra: number): Uint8Array {
  const header = new Uint8Array(30);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x04034b50, true);
  header.set(fixed, 4);
  view.setUint16(28, extra, true);
  return header;
}

function central(fixed: Uint8Array, header: number): Uint8Array {
  const record = new Uint8Array(46);
  const view = new DataView(record.buffer);
  view.setUint32(0, 0x02014b50, true);
  view.setUint16(4, 10, true);
  record.set(fixed, 6);
  view.setUint32(42, header, true);
  return record;
}

/** The pickle, protocol 2, of an OrderedDict from names to tensors. */
function statePickle(tensors: readonly TensorSource[], path: string): Uint8Array {
  const parts: (Uint8Array | string)[] = ['\x80\x02', 'ccollections\nOrderedDict\n)R', '('];
  for (const [i, { name, dtype, shape, data }] of tensors.entries()) {
    const count = shape.reduce((p, d) => p * d, 1);
    const bytes = data.byteLength;
    if (bytes % Math.max(count, 1) !== 0) {
      throw refused(`${path}: tensor '${name}'`, `a multiple of ${count} bytes`, `${bytes}`);
    }
    const stride = shape.map((_, axis) => shape.slice(axis + 1).reduce((p, d) => p * d, 1));
    parts.push(
      ...[text(name), 'ctorch._utils\n_rebuild_tensor_v2\n(('],
      ...[text('storage'), `ctorch\n${storageTypes[dtype]}\n`, text(String(i)), text('cpu'), integer(count), 'tQ'],
      ...[integer(0), '(', ...shape.map(integer), 't', '(', ...stride.map(integer), 't'],
      '\x89ccollections\nOrderedDict\n)RtR',
    );
  }
  parts.push('u', '.');
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? ascii(part) : part)));
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  return Buffer.concat([ascii('X'), length, bytes]);
}

/** BININT, or LONG1 of eight bytes where that is too small. */
function integer(value: number): Uint8Array {
  const short = value < 2 ** 31;
  const bytes = Buffer.alloc(short ? 5 : 10);
  if (short) {
    bytes.write('J', 'latin1');
    bytes.writeInt32LE(value, 1);
  } else {
    bytes.set([0x8a, 8]);
    bytes.writeBigInt64LE(BigInt(value), 2);
  }
  return bytes;
}

const ascii = (value: string): Uint8Array => Buffer.from(value, 'latin1');

function refused(where: string, expected: string, got: string, hint?: string): DlcourseError {
  const problem = `expected ${expected}, got ${got}`;
  return new DlcourseError({ code: 'E_PYTORCH_WRITE', class: 'usage', where, problem, ...(hint ? { hint } : {}) });
}

// Checkpoints made by hand for the tests of the reader: zip archives, pickles and legacy files, right or wrong on purpose.

import { crc32 } from '../../src/io/crc32c.js';
import type { FileSystem } from '../../src/io/filesystem.js';

/** What a header says about an entry. */
export interface EntryFields {
  name: string;
  flags: number;
  method: number;
  crc: number;
  stored: number;
  size: number;
}

export interface EntrySource {
  name: string;
  content: Uint8Array;
  /** What its own header, the directory and the descriptor say other than the truth. */
  local?: Partial<EntryFields>;
  central?: Partial<EntryFields & { header: number }>;
  descriptor?: Partial<EntryFields>;
}

export interface ZipChanges {
  count?: number;
  begin?: number;
  length?: number;
  comment?: string;
  /** Bytes before the first entry, after the last, and after the end. */
  before?: number;
  between?: number;
  after?: number;
}

/** A zip archive of stored entries; with descriptors behind the contents, as PyTorch writes them, or without. */
export function zip(sources: readonly EntrySource[], changes: ZipChanges = {}, descriptors = true): Uint8Array {
  const parts: Buffer[] = [Buffer.alloc(changes.before ?? 0)];
  const directory: Buffer[] = [];
  let at = parts[0].length;
  const add = (part: Buffer) => {
    parts.push(part);
    at += part.length;
  };
  for (const { name, content, local, central, descriptor } of sources) {
    const size = content.length;
    const flags = descriptors ? 0x808 : 0x800;
    const truth = { name, flags, method: 0, crc: crc32(content), stored: size, size };
    const header = at;
    const zeros = descriptors ? { crc: 0, stored: 0, size: 0 } : {};
    add(fields(0x04034b50, { ...truth, ...zeros, ...local }, 0));
    add(Buffer.from(content));
    if (descriptors) {
      const said = { ...truth, ...descriptor };
      add(words(0x08074b50, said.crc, said.stored, said.size));
    }
    directory.push(fields(0x02014b50, { ...truth, ...central }, central?.header ?? header));
  }
  add(Buffer.alloc(changes.between ?? 0));
  const length = directory.reduce((sum, record) => sum + record.length, 0);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(changes.count ?? sources.length, 8);
  end.writeUInt16LE(changes.count ?? sources.length, 10);
  end.writeUInt32LE(changes.length ?? length, 12);
  end.writeUInt32LE(changes.begin ?? at, 16);
  end.writeUInt16LE(changes.comment?.length ?? 0, 20);
  parts.push(...directory, end, Buffer.from(changes.comment ?? ''), Buffer.alloc(changes.after ?? 0));
  return new Uint8Array(Buffer.concat(parts));
}

function fields(signature: number, { name, flags, method, crc, stored, size }: EntryFields, header: number): Buffer {
  const isCentral = signature === 0x02014b50;
  const start = isCentral ? 6 : 4;
  const bytes = Buffer.alloc(isCentral ? 46 : 30);
  bytes.writeUInt32LE(signature, 0);
  bytes.writeUInt16LE(flags, start + 2);
  bytes.writeUInt16LE(method, start + 4);
  words(crc, stored, size).copy(bytes, start + 10);
  bytes.writeUInt16LE(Buffer.byteLength(name), start + 22);
  if (isCentral) bytes.writeUInt32LE(header, 42);
  return Buffer.concat([bytes, Buffer.from(name)]);
}

function words(...values: number[]): Buffer {
  return Buffer.from(Uint32Array.from(values).buffer);
}

/** A pickle out of opcodes and text; 'PROTO 2' before and 'STOP' behind. */
export function pickle(...parts: (string | Uint8Array)[]): Uint8Array {
  return raw('\x80\x02', ...parts, '.');
}

/** Characters up to U+00FF stand for bytes. */
export function raw(...parts: (string | Uint8Array)[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts.map(p => (typeof p === 'string' ? Buffer.from(p, 'latin1') : p))));
}

export function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from('X'), words(bytes.length), bytes]);
}

export function integer(value: number | bigint): Uint8Array {
  if (value >= -(2 ** 31) && value < 2 ** 31) {
    return Buffer.concat([Buffer.from('J'), Buffer.from(Int32Array.of(Number(value)).buffer)]);
  }
  return Buffer.concat([
    Buffer.from([0x8a, 16]),
    Buffer.from(BigInt64Array.of(BigInt.asIntN(64, BigInt(value)), BigInt(value) >> 64n).buffer),
  ]);
}

export interface TensorParts {
  type?: string;
  key?: string;
  count?: number | bigint;
  offset?: number | bigint;
  shape?: readonly (number | bigint)[];
  stride?: readonly (number | bigint)[];
  /** Behind the count in the storage's identity. */
  view?: string | Uint8Array;
  rebuild?: string;
  /** The arguments behind the strides. */
  rest?: string;
}

/** The pickle of a tensor: by default four float32 elements in storage 0. */
export function tensor(parts: TensorParts = {}): Uint8Array {
  const {
    type = 'torch\nFloatStorage',
    key = '0',
    count = 4,
    offset = 0,
    shape = [4],
    stride = [1],
    view = '',
  } = parts;
  const { rebuild = 'torch._utils\n_rebuild_tensor_v2', rest = '\x89ccollections\nOrderedDict\n)R' } = parts;
  const tuple = (values: readonly (number | bigint)[]) => raw('(', ...values.map(integer), 't');
  return raw(
    ...['c', rebuild, '\n((', text('storage'), 'c', type, '\n', text(key), text('cpu'), integer(count), view, 'tQ'],
    ...[integer(offset), tuple(shape), tuple(stride), rest, 'tR'],
  );
}

/** A dict of one tensor, w. */
export function stateDict(parts: TensorParts = {}): Uint8Array {
  return pickle('}', text('w'), tensor(parts), 's');
}

export const fourFloats = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);

export const version: EntrySource = { name: 'x/version', content: raw('3\n') };

/** A checkpoint in zip format of this data.pkl, with storage 0 of these bytes. */
export function zipCheckpoint(content: Uint8Array, storage = fourFloats, more: EntrySource[] = []): Uint8Array {
  return zip([{ name: 'x/data.pkl', content }, { name: 'x/data/0', content: storage }, version, ...more]);
}

/** A checkpoint as before the zip format: the pickles in order, then the storages with their counts. */
export function legacyCheckpoint(
  content: Uint8Array,
  storages: readonly (readonly [key: string, count: bigint, bytes: Uint8Array])[] = [['0', 4n, fourFloats]],
  header: readonly Uint8Array[] = legacyHeader(),
): Uint8Array {
  const keys = pickle(']', '(', ...storages.map(([key]) => text(key)), 'e');
  const blocks = storages.flatMap(([, count, bytes]) => [Buffer.from(BigUint64Array.of(count).buffer), bytes]);
  return raw(...header, content, keys, ...blocks);
}

export function legacyHeader(littleEndian = true): Uint8Array[] {
  const magic = pickle('\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19');
  return [magic, pickle('M\xe9\x03'), pickle('}', text('little_endian'), littleEndian ? '\x88' : '\x89', 's')];
}

/** A tar archive of regular files, as Python writes it. `change` spoils headers before their checksum is made. */
export function tar(sources: readonly EntrySource[], change: (header: Buffer, name: string) => void = () => {}) {
  const blocks = sources.flatMap(({ name, content }) => {
    const header = Buffer.alloc(512);
    const octal = (value: number, at: number, length: number) =>
      header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
    header.write(name, 0, 'utf8');
    octal(0o644, 100, 8);
    octal(0, 108, 8);
    octal(0, 116, 8);
    octal(content.length, 124, 12);
    octal(0, 136, 12);
    header.write('0', 156, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    header.fill(' ', 148, 156);
    change(header, name);
    octal(
      header.reduce((sum, byte) => sum + byte, 0),
      148,
      7,
    );
    header[155] = 0x20;
    return [header, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return new Uint8Array(Buffer.concat([...blocks, Buffer.alloc(1024)]));
}

/** The members of an archive of one tensor w: four float32 elements. */
export interface TarParts {
  machine?: Uint8Array;
  state?: Uint8Array;
  /** A tensor's key, storage and type; extents, strides, offset. */
  tensor?: Uint8Array;
  numbers?: readonly bigint[];
  rank?: number;
  tensors?: number;
  storage?: Uint8Array;
  count?: bigint;
  elements?: Uint8Array;
  storages?: number;
  views?: Uint8Array;
  behind?: Uint8Array;
}

export const tarMembers = (parts: TarParts = {}): EntrySource[] => {
  const eight = (values: readonly bigint[]) => Buffer.from(BigInt64Array.from(values).buffer);
  const { machine = legacyHeader()[2]!, state = pickle('}', text('w'), text('11'), 'Qs') } = parts;
  const { tensor: one = pickle(integer(11), integer(21), 'ctorch\nFloatTensor\n\x87'), numbers = [4n, 1n, 0n] } = parts;
  const { storage = pickle(integer(21), text('cpu'), 'ctorch\nFloatStorage\n\x87'), count = 4n } = parts;
  const { elements = fourFloats, views = pickle(']'), behind = raw() } = parts;
  const rank = Buffer.alloc(8, 0xab);
  rank.writeInt32LE(parts.rank ?? (numbers.length - 1) / 2);
  return [
    { name: 'sys_info', content: machine },
    { name: 'pickle', content: state },
    { name: 'tensors', content: raw(pickle(integer(parts.tensors ?? 1)), one, rank, eight(numbers)) },
    {
      name: 'storages',
      content: raw(pickle(integer(parts.storages ?? 1)), storage, eight([count]), elements, views, behind),
    },
  ];
};

export const tarCheckpoint = (parts: TarParts = {}): Uint8Array => tar(tarMembers(parts));

/** A file system of one file. */
export function memoryFile(bytes: Uint8Array): FileSystem {
  const refuse = () => Promise.reject(new Error('not in this test'));
  const file = {
    write: refuse,
    read: async (target: Uint8Array, offset: number, length: number, position: number) => {
      const part = bytes.subarray(position, position + length);
      target.set(part, offset);
      return { bytesRead: part.length };
    },
    stat: async () => ({ size: bytes.length, isFile: () => true }),
    sync: refuse,
    close: async () => {},
  };
  return { open: async () => file, rename: refuse, unlink: refuse, readdir: refuse, stat: refuse };
}

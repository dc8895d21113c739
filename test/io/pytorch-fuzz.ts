// Random changes of PyTorch checkpoints: whatever comes, the reader ends in tensors or in a DlcourseError.

import { DlcourseError } from '../../src/errors.js';
import { openPytorch } from '../../src/io/pytorch.js';
import { WeightsFile } from '../../src/io/weights-file.js';
import { fixture } from './fixture.js';
import { boundaries, type Random } from './mutate.js';
import {
  integer,
  legacyCheckpoint,
  memoryFile,
  pickle,
  raw,
  stateDict,
  tar,
  tarCheckpoint,
  tarMembers,
  tensor,
  text,
  zip,
  zipCheckpoint,
} from './pytorch-files.js';

interface Entry {
  name: string;
  content: Uint8Array;
}

const bytesPerPiece = 8;

/** What is put into pickles: all opcodes with small arguments, other globals, numbers at which arithmetic goes wrong. */
const pieces: Uint8Array[] = [
  ...[...'(.)]}NQRabestu\x85\x86\x87\x88\x890o\x81\x93'].map(opcode => raw(opcode)),
  ...[
    'q\x00',
    'h\x00',
    'h\x01',
    'q\x01',
    'K\x00',
    'K\x01',
    'K\x04',
    'M\xff\xff',
    'U\x01a',
    '\x8a\x01\xff',
    '\x8a\x00',
  ].map(part => raw(part)),
  ...['r\xff\xff\xff\xff', 'j\xff\xff\xff\xff', 'G\x7f\xf8\0\0\0\0\0\0', 'X\xff\xff\xff\xff', '\x80\x04'].map(part =>
    raw(part),
  ),
  ...[
    'os\nsystem',
    'torch\nSize',
    'torch\nHalfStorage',
    'collections\nOrderedDict',
    'torch._utils\n_rebuild_parameter',
  ].map(name => raw(`c${name}\n`)),
  ...[-1n, 0n, 1n, 3n, 5n, ...boundaries].map(integer),
  ...['w', '0', '1', 'storage', 'n'.repeat(513), 'e\u0301'].map(text),
  raw('q\x01h\x01\x86'.repeat(40)),
  raw('('.repeat(1001)),
  raw(']'.repeat(40), 'a'.repeat(39)),
  raw('ccollections\nOrderedDict\n)R'),
  ...['b', 'e\u0301', 'n'.repeat(513)].map(name => raw(text(name), 'N')),
  tensor(),
  tensor({ shape: [2, 2], stride: [1, 2] }),
];

const small = stateDict({ shape: [2, 2], stride: [1, 2] });
/** Names that are one bit apart. */
const names = pickle('}(', ...['a', 'b', 'c', 'q', 'A'].flatMap(name => [text(name), 'N']), text('w'), tensor(), 'u');
const archives: Entry[][] = [
  entriesOf(zipCheckpoint(names)),
  entriesOf(fixture('pytorch.pt')),
  entriesOf(fixture('pytorch-tensor.pt')),
  entriesOf(zipCheckpoint(small, undefined, [{ name: 'x/byteorder', content: raw('little') }])),
];
/** Members of tar archives, which begin where each ends in the file of Python. */
const tars: Entry[][] = [
  tarMembers(),
  tarMembers({ numbers: [2n, 2n, 1n, 2n, 0n] }),
  membersOf(fixture('pytorch-tar.pt')),
];
const files = [
  ...['pytorch.pt', 'pytorch-legacy.pt', 'pytorch-tensor.pt', 'pytorch-zip64.pt', 'pytorch-tar.pt'].map(fixture),
  tarCheckpoint(),
  legacyCheckpoint(small),
  zipCheckpoint(small),
];

/** The entries of an archive that is valid, found by their descriptors' absence of doubt: the directory. */
function entriesOf(bytes: Uint8Array): Entry[] {
  const file = Buffer.from(bytes);
  const entries: Entry[] = [];
  for (let at = file.indexOf('PK\x01\x02', 0, 'latin1'); at >= 0; at = file.indexOf('PK\x01\x02', at + 4, 'latin1')) {
    const size = file.readUInt32LE(at + 24);
    const name = file.toString('utf8', at + 46, at + 46 + file.readUInt16LE(at + 28));
    const header = file.readUInt32LE(at + 42);
    const begin = header + 30 + file.readUInt16LE(header + 26) + file.readUInt16LE(header + 28);
    entries.push({ name, content: bytes.slice(begin, begin + size) });
  }
  return entries;
}

function membersOf(bytes: Uint8Array): Entry[] {
  const file = Buffer.from(bytes);
  const members: Entry[] = [];
  for (let at = 0; file[at] !== 0; ) {
    const size = Number.parseInt(file.toString('latin1', at + 124, at + 135), 8);
    const name = file.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    if (file[at + 156] === 0x30) members.push({ name, content: bytes.slice(at + 512, at + 512 + size) });
    at += 512 + 512 * Math.ceil(size / 512);
  }
  return members;
}

/** One to three changes: of an archive's contents, packed again with right checksums, or of any bytes of a file. */
export function mutatePytorch(random: Random): Uint8Array {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const changes = 1 + Math.floor(random() * 3);
  if (random() < 0.4) {
    let bytes = pick(files);
    for (let i = 0; i < changes; i++) bytes = changeBytes(bytes, random);
    return bytes;
  }
  if (random() < 0.3) return mutateTar(random, changes);
  const entries = pick(archives).map(entry => ({ ...entry }));
  for (let i = 0; i < changes; i++) {
    const target = random() < 0.8 ? entries[0] : pick(entries);
    const kind = random();
    if (kind < 0.9) target.content = changeBytes(target.content, random);
    else if (kind < 0.93) entries.splice(Math.floor(random() * entries.length), 1);
    else if (kind < 0.96) entries.push({ ...pick(entries) });
    else target.name = pick(['x/data/0', 'x/byteorder', 'x/constants.pkl', 'y/data.pkl', '', `${target.name}0`]);
    if (entries.length === 0) break;
  }
  return zip(entries, {}, random() < 0.5);
}

/** Changes contents, members and, with right checksums, headers. */
function mutateTar(random: Random, changes: number): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const members = tars[below(tars.length)]!.map(member => ({ ...member }));
  for (let i = 0; i < changes; i++) {
    const target = members[below(members.length)]!;
    const kind = random();
    if (kind < 0.9) target.content = changeBytes(target.content, random);
    else if (kind < 0.93 && members.length > 1) members.splice(below(members.length), 1);
    else if (kind < 0.96) members.push({ ...members[below(members.length)]! });
    else target.name = ['pickle', 'x', '', 'storages\0', '../pickle'][below(5)]!;
  }
  if (random() < 0.9) return tar(members);
  return tar(members, header => {
    if (random() < 0.5) header[below(512)] = below(256);
  });
}

function changeBytes(bytes: Uint8Array, random: Random): Uint8Array {
  const below = (limit: number) => Math.floor(random() * limit);
  const at = below(bytes.length);
  const span = 1 + below(bytesPerPiece);
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (below(8)) {
    case 0:
      return raw(before, Uint8Array.of(below(256)), behind.subarray(1));
    case 1:
      return raw(before, pieces[below(pieces.length)], behind);
    case 2:
      return raw(before, pieces[below(pieces.length)], behind.subarray(span));
    case 3:
      return raw(before, behind.subarray(span));
    case 4:
      return raw(before, behind.subarray(0, 4 * span), behind);
    case 5:
      return random() < 0.3
        ? before.slice()
        : raw(before, Uint8Array.of((bytes[at] ?? 0) ^ (1 << below(8))), behind.subarray(1));
    case 6: {
      // A small number in its place: counts, extents, offsets, memo entries.
      const numbers = [...bytes.entries()].filter(([, byte]) => byte === 0x4b || byte === 0x68).map(([i]) => i + 1);
      const where = numbers.length > 0 ? numbers[below(numbers.length)] : at;
      return raw(bytes.subarray(0, where), Uint8Array.of(below(12)), bytes.subarray(where + 1));
    }
    default: {
      const from = below(bytes.length);
      return raw(before, bytes.subarray(from, from + 16 * span), behind);
    }
  }
}

/** Reads `count` mutants wholly; how often each ended with which code. Throws for any other end. */
export async function fuzz(count: number, random: Random): Promise<Map<string, number>> {
  const codes = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    const mutant = mutatePytorch(random);
    const began = performance.now();
    const code = await verdict(mutant);
    const took = performance.now() - began;
    if (took > 5_000) throw new Error(`mutant ${i}: expected an end within 5 seconds, got ${took} ms`);
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }
  return codes;
}

/** 'accepted', or the code of the refusal. */
export async function verdict(bytes: Uint8Array): Promise<string> {
  try {
    const file = await openPytorch('x.pt', { fs: memoryFile(bytes) });
    const { prefix, tensors } = new WeightsFile([file]);
    if (prefix !== '' && tensors.size === 0) throw new Error(`expected tensors behind '${prefix}'`);
    for (const { name, shape } of file.tensors.values()) {
      const { data } = await file.tensor(name);
      if (data.length !== shape.reduce((a, b) => a * b, 1) || data.byteLength > bytes.length) {
        throw new Error(`expected [${shape}] within ${bytes.length} bytes, got ${data.byteLength} bytes`);
      }
    }
    await file.close();
    return 'accepted';
  } catch (error) {
    if (!(error instanceof DlcourseError)) throw error;
    return error.code;
  }
}

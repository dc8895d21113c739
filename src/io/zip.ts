// The directory of a zip archive whose entries are stored without compression, as PyTorch writes it. Every byte of the
// file must belong to exactly one entry or to the directory, and everything that is said twice must be said alike: no
// other reader can then see other contents. The format: PKWARE, APPNOTE.TXT 6.3.

import { DlcourseError } from '../errors.js';
import { plainHint } from './pickle.js';

export interface ZipEntry {
  readonly name: string;
  /** The bytes of the content in the file. */
  readonly begin: number;
  readonly end: number;
  readonly crc32: number;
}

/** The bytes from `begin` to `end` of the file. */
export type ReadBytes = (begin: number, end: number) => Promise<Uint8Array>;

export const zipLimits = { entries: 100_100, directoryBytes: 16 * 2 ** 20, nameBytes: 512 } as const;

const signatures = {
  local: 0x04034b50,
  central: 0x02014b50,
  descriptor: 0x08074b50,
  end: 0x06054b50,
  end64: 0x06064b50,
  locator64: 0x07064b50,
};
/** A size or count of 32 or 16 ones stands in a field of 64 bits elsewhere. */
const in64 = 0xffffffff;
const hasDescriptor = 0x0008;
const isUtf8 = 0x0800;

/**
 * Reads the directory and all entries' headers of a zip file of `size` bytes, in the order of their bytes.
 *
 * Errors, class refusedFile: `E_PYTORCH_ZIP`, `E_PYTORCH_LIMIT`.
 */
export async function readZipDirectory(read: ReadBytes, size: number, where: string): Promise<Map<string, ZipEntry>> {
  const { count, begin, end } = await readEnd(read, size, where);
  const central = readCentral(await read(begin, end), count, where);
  central.sort((a, b) => a.header - b.header);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (const [i, record] of central.entries()) {
    const next = central[i + 1]?.header ?? begin;
    if (record.header !== at || next > begin)
      throw refused(where, `expected '${record.name}' at byte ${at}, got ${record.header}`);
    if (entries.has(record.name)) throw refused(where, `expected each entry once, got '${record.name}' twice`);
    entries.set(record.name, await readLocal(read, record, next, `${where}: entry '${record.name}'`));
    at = next;
  }
  if (at !== begin) throw refused(where, `expected the directory at byte ${at}, got ${begin}`);
  return entries;
}

interface CentralRecord {
  name: string;
  rawName: Buffer;
  flags: number;
  crc: number;
  size: number;
  header: number;
}

/** Where the directory lies. The record of its end is the end of the file: no comment, nothing behind. */
async function readEnd(read: ReadBytes, size: number, where: string) {
  if (size < 22) throw refused(where, `expected at least 22 bytes, got ${size}`);
  const tailBegin = Math.max(0, size - 22 - 20 - 56);
  const tail = Buffer.from(await read(tailBegin, size));
  const end = tail.subarray(tail.length - 22);
  if (end.readUInt32LE(0) !== signatures.end || end.readUInt16LE(20) !== 0) {
    throw refused(where, 'expected the end of a zip directory at the end of the file, got other bytes');
  }
  let count = end.readUInt16LE(10);
  let length = end.readUInt32LE(12);
  let begin = end.readUInt32LE(16);
  let directoryEnd = size - 22;
  const disks = [end.readUInt16LE(4), end.readUInt16LE(6), end.readUInt16LE(8) - count];
  const locator = tail.length === 98 ? tail.subarray(56, 76) : undefined;
  if (locator?.readUInt32LE(0) === signatures.locator64) {
    directoryEnd -= 76;
    const end64 = tail.subarray(0, 56);
    if (end64.readUInt32LE(0) !== signatures.end64 || integer64(end64, 4) !== 44) {
      throw refused(where, `expected the 64-bit end of the directory at byte ${directoryEnd}, got other bytes`);
    }
    const wide = [integer64(end64, 32), integer64(end64, 40), integer64(end64, 48)];
    const agree = [count === wide[0] || count === 0xffff, agrees(length, wide[1]), agrees(begin, wide[2])];
    if (agree.includes(false) || integer64(locator, 8) !== directoryEnd) {
      throw refused(where, 'expected the two ends of the directory to agree, got different ones');
    }
    disks.push(locator.readUInt32LE(4), locator.readUInt32LE(16) - 1);
    disks.push(end64.readUInt32LE(16), end64.readUInt32LE(20), integer64(end64, 24) - wide[0]);
    [count, length, begin] = wide;
  }
  if (disks.some(disk => disk !== 0)) throw refused(where, 'expected an archive of one part, got several');
  if (count > zipLimits.entries || length > zipLimits.directoryBytes) {
    const problem = `expected at most ${zipLimits.entries} entries in ${zipLimits.directoryBytes} bytes`;
    throw refused(where, `${problem}, got ${count} in ${length}`, 'E_PYTORCH_LIMIT');
  }
  if (begin + length !== directoryEnd) {
    throw refused(where, `expected a directory that ends at byte ${directoryEnd}, got ${begin + length}`);
  }
  return { count, begin, end: directoryEnd };
}

function readCentral(bytes: Uint8Array, count: number, where: string): CentralRecord[] {
  const directory = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const records: CentralRecord[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const fixed = directory.subarray(at, at + 46);
    if (fixed.length < 46 || fixed.readUInt32LE(0) !== signatures.central) {
      throw refused(where, `expected ${count} entries in the directory, got ${i}`);
    }
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map(offset => fixed.readUInt16LE(offset));
    const end = at + 46 + nameLength + extraLength;
    if (end + commentLength > directory.length) {
      throw refused(where, `expected entry ${i} to end within the directory, got ${end + commentLength} bytes`);
    }
    const rawName = directory.subarray(at + 46, at + 46 + nameLength);
    const name = entryName(rawName, where);
    const entry = `${where}: entry '${name}'`;
    const flags = fixed.readUInt16LE(8);
    const extra = directory.subarray(end - extraLength, end);
    const [size, stored, header] = wideFields(
      extra,
      [24, 20, 42].map(offset => fixed.readUInt32LE(offset)),
      entry,
    );
    checkMethod(flags, fixed.readUInt16LE(10), entry);
    if (size !== stored || fixed.readUInt16LE(34) !== 0) {
      throw refused(entry, `expected one size and one part, got ${size} and ${stored}`);
    }
    records.push({ name, rawName, flags, crc: fixed.readUInt32LE(16), size, header });
    at = end + commentLength;
  }
  if (at !== directory.length) throw refused(where, `expected a directory of ${at} bytes, got ${directory.length}`);
  return records;
}

/** Checks an entry's own header, and what follows its content, against the directory; the entry ends at `next`. */
async function readLocal(read: ReadBytes, record: CentralRecord, next: number, where: string): Promise<ZipEntry> {
  const { name, rawName, flags, crc, size, header } = record;
  const refuse = () => refused(where, 'expected its header to agree with the directory, got another');
  if (next - header < 30 + rawName.length) throw refuse();
  const fixed = Buffer.from(await read(header, header + 30 + rawName.length));
  const headerEnd = header + 30 + rawName.length;
  const extraLength = fixed.readUInt16LE(28);
  const begin = headerEnd + extraLength;
  const end = begin + size;
  const tail = next - end;
  if (fixed.readUInt32LE(0) !== signatures.local || fixed.readUInt16LE(26) !== rawName.length) throw refuse();
  if (!fixed.subarray(30).equals(rawName) || fixed.readUInt16LE(6) !== flags) throw refuse();
  checkMethod(flags, fixed.readUInt16LE(8), where);
  if (!(flags & hasDescriptor ? [16, 24] : [0]).includes(tail)) throw refuse();

  const sizes = [22, 18].map(offset => fixed.readUInt32LE(offset));
  if (sizes.includes(in64)) {
    const wide = wideFields(Buffer.from(await read(headerEnd, begin)), sizes, where);
    sizes.splice(0, 2, ...wide);
  }
  const said = [fixed.readUInt32LE(14), ...sizes];
  const expected = [crc, size, size];
  // With a descriptor behind the content, the header may leave the three at zero.
  const matches = expected.every((value, i) => said[i] === value || (flags & hasDescriptor && said[i] === 0));
  if (!matches) throw refuse();
  if (flags & hasDescriptor) {
    const descriptor = Buffer.from(await read(end, next));
    const found = [8, tail === 16 ? 12 : 16].map(at =>
      tail === 16 ? descriptor.readUInt32LE(at) : integer64(descriptor, at),
    );
    if (descriptor.readUInt32LE(0) !== signatures.descriptor || descriptor.readUInt32LE(4) !== crc) throw refuse();
    if (found.some(value => value !== size)) throw refuse();
  }
  return { name, begin, end, crc32: crc };
}

function checkMethod(flags: number, method: number, where: string): void {
  if (method !== 0 || (flags & ~(hasDescriptor | isUtf8)) !== 0) {
    const problem = `expected an entry stored as it is, got method ${method} and flags 0x${flags.toString(16)}`;
    throw refused(where, problem);
  }
}

/** Replaces each field of 32 ones by the next number of the 64-bit extra field. */
function wideFields(extra: Buffer, fields: number[], where: string): number[] {
  if (!fields.includes(in64)) return fields;
  let at = 0;
  while (at + 4 <= extra.length && extra.readUInt16LE(at) !== 1) at += 4 + extra.readUInt16LE(at + 2);
  const length = at + 4 <= extra.length ? extra.readUInt16LE(at + 2) : 0;
  const content = extra.subarray(at + 4, at + 4 + length);
  let used = 0;
  return fields.map(field => {
    if (field !== in64) return field;
    if (used + 8 > content.length) throw refused(where, 'expected sizes of 64 bits in an extra field, got none');
    used += 8;
    return integer64(content, used - 8);
  });
}

function entryName(raw: Buffer, where: string): string {
  let name: string | undefined;
  try {
    name = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {}
  if (name === undefined || raw.length === 0 || raw.length > zipLimits.nameBytes) {
    throw refused(where, `expected names of 1 to ${zipLimits.nameBytes} bytes of UTF-8, got ${raw.length} bytes`);
  }
  return name;
}

function agrees(narrow: number, wide: number): boolean {
  return narrow === wide || narrow === in64;
}

/** Beyond 2⁵³ the number is rounded; it is then larger than any file, and refused as such. */
function integer64(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at));
}

function refused(where: string, problem: string, code = 'E_PYTORCH_ZIP'): DlcourseError {
  return new DlcourseError({ code, class: 'refusedFile', where, problem, hint: plainHint });
}

// Unpacks a tar archive that someone else made: regular files and folders, inside the target, or nothing at all.

import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { DlcourseError } from '../errors.js';
import { writeError } from '../io/filesystem.js';

const block = 512;

export interface TarLimits {
  /** All unpacked bytes together. Default 4 GiB. */
  maxBytes?: number;
  /** Files and folders together. Default 100,000. */
  maxEntries?: number;
}

/**
 * Unpacks a `.tar` or `.tar.gz` stream (ustar, with pax and GNU long names) into `folder`, which must be empty and the
 * caller's own. Links, devices, sparse files, absolute or climbing names, names given twice and damaged headers are
 * refused: the caller then deletes the folder.
 *
 * @param archive names the archive in messages.
 * @throws DlcourseError `E_ARCHIVE` with the entry and the reason.
 */
export async function unpackTar(
  source: Readable,
  archive: string,
  folder: string,
  limits: TarLimits = {},
): Promise<string[]> {
  const { maxBytes = 4 * 2 ** 30, maxEntries = 100_000 } = limits;
  const reader = new BlockReader(await decompressed(source, archive));
  const refuse = (entry: string, problem: string) => {
    const where = entry ? `${archive}: ${entry}` : archive;
    return new DlcourseError({
      code: 'E_ARCHIVE',
      class: 'refusedFile',
      where,
      problem,
      hint: 'get the archive again',
    });
  };
  const seen = new Map<string, 'file' | 'folder'>();
  const files: string[] = [];
  let total = 0;
  let entries = 0;
  let longName: string | undefined;
  try {
    for (;;) {
      const bytes = await reader.take(block);
      if (bytes.length === 0 && entries > 0)
        throw refuse('', 'expected an end-of-archive block, got the end of the file');
      if (bytes.length < block) throw refuse('', 'expected a tar archive, got one that is cut short');
      if (bytes.every(b => b === 0)) break;
      const header = parseHeader(bytes);
      if (typeof header === 'string') throw refuse(longName ?? '', header);
      if (header.type === 'x' || header.type === 'L') {
        if (header.size > 2 ** 20)
          throw refuse(header.name, `expected a long name of at most 1 MiB, got ${header.size}`);
        const text = (await reader.takePadded(header.size, () => refuse(header.name, 'is cut short'))).toString('utf8');
        longName =
          header.type === 'L'
            ? text.replace(/\0.*$/s, '')
            : (paxPath(text, problem => refuse('', problem)) ?? longName);
        continue;
      }
      const name = longName ?? header.name;
      longName = undefined;
      if (++entries > maxEntries) throw refuse(name, `expected at most ${maxEntries} entries, got more`);
      if (header.type === 'g') {
        await reader.takePadded(header.size, () => refuse(name, 'is cut short'));
        continue;
      }
      if (header.type !== '0' && header.type !== '5') {
        throw refuse(
          name,
          `expected a regular file or folder, got ${typeNames[header.type] ?? `type '${header.type}'`}`,
        );
      }
      const problem = unsafeName(name);
      if (problem) throw refuse(name, problem);
      const relative = path.posix.normalize(name).replace(/\/$/, '');
      const kind = header.type === '5' || name.endsWith('/') ? 'folder' : 'file';
      // Names that differ only in case are one file on macOS and Windows.
      const known = seen.get(relative.toLowerCase());
      if (known && (known === 'file' || kind === 'file')) throw refuse(name, 'is in the archive twice');
      seen.set(relative.toLowerCase(), kind);
      const target = path.join(folder, ...relative.split('/'));
      if (kind === 'folder') {
        if (header.size > 0) throw refuse(name, `expected a folder without content, got ${header.size} bytes`);
        await mkdir(target, { recursive: true });
        continue;
      }
      total += header.size;
      if (total > maxBytes) throw refuse(name, `expected at most ${maxBytes} bytes in all, got more`);
      await mkdir(path.dirname(target), { recursive: true });
      const content = reader.content(header.size, () => refuse(name, 'is cut short'));
      // 'wx' never follows or overwrites what is there already.
      await pipeline(content, createWriteStream(target, { flags: 'wx', mode: 0o644 }));
      files.push(relative);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('Z_')) throw refuse('', `expected gzip data, got damaged data (${code})`);
    if (code === 'EEXIST' || code === 'ENOTDIR' || code === 'EISDIR')
      throw refuse('', 'a file and a folder share a name');
    // Whatever else the system says is about writing here, e.g. a full disk.
    throw (error as NodeJS.ErrnoException).syscall ? writeError(folder, `unpack ${archive}`, error) : error;
  } finally {
    reader.close();
  }
  return files;
}

const typeNames: Record<string, string> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a FIFO',
  S: 'a sparse file',
};

interface TarHeader {
  name: string;
  size: number;
  type: string;
}

/** The fields that matter of one header block, or what is wrong with it. */
function parseHeader(bytes: Buffer): TarHeader | string {
  let sum = 0;
  for (let i = 0; i < block; i++) sum += i >= 148 && i < 156 ? 32 : bytes[i];
  const stated = octal(bytes, 148, 8);
  if (stated !== sum) return `expected a tar header with checksum ${sum}, got ${stated ?? 'none'}`;
  const size = octal(bytes, 124, 12);
  if (size === undefined || !Number.isSafeInteger(size)) return 'expected a file size in octal, got something else';
  const ustar = bytes.toString('latin1', 257, 262) === 'ustar';
  const posix = ustar && bytes[262] === 0;
  const prefix = posix ? text(bytes, 345, 155) : '';
  const name = text(bytes, 0, 100);
  const flag = bytes[156] === 0 ? '0' : String.fromCharCode(bytes[156]);
  // Type 7 ("contiguous") is a regular file to every reader.
  return { name: prefix ? `${prefix}/${name}` : name, size, type: flag === '7' ? '0' : flag };
}

function text(bytes: Buffer, from: number, length: number): string {
  const end = bytes.indexOf(0, from);
  return bytes.toString('utf8', from, end < 0 || end > from + length ? from + length : end);
}

function octal(bytes: Buffer, from: number, length: number): number | undefined {
  const digits = bytes
    .toString('latin1', from, from + length)
    .replace(/[\0 ]+$/, '')
    .replace(/^ +/, '');
  return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

/** The `path` of a pax extended header; records that change what a file is are refused. */
function paxPath(records: string, refuse: (problem: string) => DlcourseError): string | undefined {
  let name: string | undefined;
  let rest = Buffer.from(records, 'utf8');
  while (rest.length > 0) {
    const space = rest.indexOf(32);
    const length = Number(rest.toString('latin1', 0, Math.max(space, 0)));
    if (!(space > 0 && Number.isInteger(length) && length > space + 1 && length <= rest.length)) {
      throw refuse('expected pax records, got something else');
    }
    const record = rest.toString('utf8', space + 1, length - 1);
    const key = record.slice(0, record.indexOf('='));
    if (key === 'path') name = record.slice(5);
    if (key === 'size' || key === 'linkpath' || key.startsWith('GNU.sparse')) {
      throw refuse(`expected plain files, got a pax '${key}' record`);
    }
    rest = rest.subarray(length);
  }
  return name;
}

/** Why a name may not be written below the target folder, if so. */
function unsafeName(name: string): string | undefined {
  if (name === '' || name.length > 1024) return 'expected a name of 1–1024 characters';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to be refused
  if (/[\u0000-\u001f\\:*?"<>|]/.test(name)) return 'expected a plain name, got special characters';
  if (name.startsWith('/')) return 'expected a relative name, got an absolute one';
  const parts = name.replace(/\/$/, '').split('/');
  if (parts.includes('..')) return "expected a name inside the folder, got '..'";
  if (parts.some(p => p !== '.' && /[. ]$/.test(p)))
    return 'expected a plain name, got one that ends in a dot or space';
  if (parts.some(p => /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(p))) return 'is a device name on Windows';
  return undefined;
}

/** Gunzips what starts with the gzip magic. */
async function decompressed(source: Readable, archive: string): Promise<AsyncIterator<Buffer>> {
  const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  const first = await chunks.next();
  if (first.done) {
    const problem = 'expected a tar archive, got an empty file';
    throw new DlcourseError({ code: 'E_ARCHIVE', class: 'refusedFile', where: archive, problem });
  }
  async function* all() {
    try {
      yield first.value as Buffer;
      for (let next = await chunks.next(); !next.done; next = await chunks.next()) yield next.value;
    } finally {
      source.destroy();
    }
  }
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return all();
  const gunzip = createGunzip();
  // A failed source must fail the reader, not leave it waiting.
  pipeline(all, gunzip).catch(error => gunzip.destroy(error));
  return gunzip[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
}

/** Takes exact numbers of bytes from a stream of chunks. */
class BlockReader {
  private pending: Buffer = Buffer.alloc(0);

  constructor(private readonly chunks: AsyncIterator<Buffer>) {}

  /** `length` bytes, or fewer at the end of the stream. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0 && (await this.fill())) {
      const part = this.pending.subarray(0, missing);
      this.pending = this.pending.subarray(part.length);
      parts.push(part);
      missing -= part.length;
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts);
  }

  async takePadded(length: number, cutShort: () => Error): Promise<Buffer> {
    const bytes = await this.take(padded(length));
    if (bytes.length < padded(length)) throw cutShort();
    return bytes.subarray(0, length);
  }

  /** `length` bytes as chunks, then the padding to a whole block is skipped. */
  async *content(length: number, cutShort: () => Error): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0; ) {
      if (!(await this.fill())) throw cutShort();
      const part = this.pending.subarray(0, missing);
      this.pending = this.pending.subarray(part.length);
      missing -= part.length;
      yield part;
    }
    const padding = padded(length) - length;
    if ((await this.take(padding)).length < padding) throw cutShort();
  }

  close(): void {
    this.chunks.return?.()?.catch(() => {});
  }

  private async fill(): Promise<boolean> {
    while (this.pending.length === 0) {
      const next = await this.chunks.next();
      if (next.done) return false;
      this.pending = next.value;
    }
    return true;
  }
}

function padded(length: number): number {
  return Math.ceil(length / block) * block;
}

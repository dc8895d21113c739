// Writing a file all or nothing: what is announced as saved survives a kill and a power cut.

import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { DlcourseError } from '../errors.js';
import {
  type FileSystem,
  nodeFileSystem,
  type OpenFile,
  readError,
  systemCode,
  writeError,
  writeFully,
} from './filesystem.js';

export type Chunks = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface DurableOptions {
  /** Permission bits before the umask; 0o666 if not given. */
  mode?: number;
  fs?: FileSystem;
}

/**
 * Writes `chunks` to `path`, replacing what was there in one step. When the promise resolves, the file is on disk under
 * its name; until then, and after any failure or kill, `path` holds its previous content in full.
 *
 * Temporary file in the same folder (O_EXCL) → every byte written → fsync → close → rename → fsync of the folder.
 * On macOS, Node's fsync is F_FULLFSYNC, so that the drive's own cache is flushed too. A symbolic link at `path` is
 * replaced, not followed.
 *
 * Errors: `E_WRITE` (class write or permission), the temporary file removed. A failed fsync is final: the kernel may
 * have dropped the dirty pages, so that a second fsync would report success for data that is gone.
 */
export async function writeFileDurably(path: string, chunks: Chunks, options: DurableOptions = {}): Promise<void> {
  const fs = options.fs ?? nodeFileSystem;
  const folder = dirname(path);
  const temporary = join(folder, temporaryName());
  // Opened first, so that running out of descriptors cannot strike between the rename and the announcement.
  const folderFile = await attempt(path, 'open its folder', () => openFolder(folder, fs));
  try {
    try {
      await writeTemporary(path, temporary, chunks, options.mode ?? 0o666, fs);
      await attempt(path, 'rename the finished file', () => fs.rename(temporary, path));
    } catch (error) {
      await fs.unlink(temporary).catch(() => {});
      throw error;
    }
    if (folderFile) await attempt(path, 'flush its folder to disk', () => syncFolder(folderFile));
  } finally {
    await folderFile?.close().catch(() => {}); // opened for reading: nothing can be lost by a failed close
  }
}

async function writeTemporary(path: string, temporary: string, chunks: Chunks, mode: number, fs: FileSystem) {
  const file = await attempt(path, 'create a temporary file beside it', () => fs.open(temporary, 'wx', mode));
  try {
    let position = 0;
    for await (const chunk of pieces(chunks)) {
      const start = position;
      await attempt(path, `write ${chunk.length} bytes at byte ${start}`, () => writeFully(file, chunk, start));
      position += chunk.length;
    }
    await attempt(path, 'flush it to disk', () => file.sync());
  } catch (error) {
    await file.close().catch(() => {});
    throw error;
  }
  await attempt(path, 'close it', () => file.close());
}

function pieces(chunks: Chunks): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof chunks === 'string') return [Buffer.from(chunks)];
  return ArrayBuffer.isView(chunks) ? [chunks] : chunks;
}

/** Windows has no fsync of a folder; its renames are journalled. */
async function openFolder(folder: string, fs: FileSystem): Promise<OpenFile | undefined> {
  return process.platform === 'win32' ? undefined : fs.open(folder, 'r');
}

async function syncFolder(folder: OpenFile): Promise<void> {
  try {
    await folder.sync();
  } catch (error) {
    // Some network and FUSE file systems have no such call (PostgreSQL goes on after EINVAL and EBADF likewise).
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EBADF'].includes(systemCode(error) ?? '')) throw error;
  }
}

async function attempt<T>(path: string, what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof DlcourseError ? error : writeError(path, what, error);
  }
}

// A temporary file names the machine and process that is writing it: .dlcourse-<machine>-<pid>-<random>.tmp
const temporaryPattern = /^\.dlcourse-([0-9a-f]{8})-([0-9]{1,10})-[0-9a-f]{12}\.tmp$/;
const machine = createHash('sha256').update(hostname()).digest('hex').slice(0, 8);

function temporaryName(): string {
  return `.dlcourse-${machine}-${process.pid}-${randomBytes(6).toString('hex')}.tmp`;
}

/**
 * Removes the temporary files in `folder` that killed processes of this machine left behind, and returns their names.
 * Files of live processes and of other machines (shared folders) stay. Errors: `E_NOT_FOUND`, `E_READ` for the folder.
 */
export async function removeStaleTemporaries(folder: string, fs: FileSystem = nodeFileSystem): Promise<string[]> {
  const names = await fs.readdir(folder).catch(error => {
    throw readError(folder, error);
  });
  const removed: string[] = [];
  for (const name of names) {
    const match = temporaryPattern.exec(name);
    if (match?.[1] !== machine) continue;
    const path = join(folder, name);
    try {
      if (!(await isStale(path, Number(match[2]), fs))) continue;
      await fs.unlink(path);
      removed.push(name);
    } catch {
      // Gone meanwhile, or not ours to remove: a leftover does no harm.
    }
  }
  return removed;
}

async function isStale(path: string, pid: number, fs: FileSystem): Promise<boolean> {
  if (pid === process.pid) {
    // In a container the killed process and its successor often have the same number; ours started later.
    const started = Date.now() - process.uptime() * 1000;
    return (await fs.stat(path)).mtimeMs < started - 2000;
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return systemCode(error) === 'ESRCH';
  }
}

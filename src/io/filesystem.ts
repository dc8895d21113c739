// The file operations that saving and loading use, as an interface, so that tests can make each of them fail.

import { constants } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import { DlcourseError, type ErrorClass } from '../errors.js';

/** An open file or folder; the part of Node's FileHandle that is used here. */
export interface OpenFile {
  /** May write less than asked for: loop on `bytesWritten`. */
  write(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>;
  /** May read less than asked for: loop on `bytesRead`, 0 at the end of the file. */
  read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  stat(): Promise<{ size: number; isFile(): boolean }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface FileSystem {
  /** `flags` as Node takes them: 'r', 'wx' or a number. */
  open(path: string, flags: string | number, mode?: number): Promise<OpenFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ mtimeMs: number }>;
}

/** The real one. */
export const nodeFileSystem: FileSystem = nodeFs;

/** Node refuses a single transfer above 2³¹ − 1 bytes; pieces also let other work of the thread pool in between. */
const largestTransfer = 64 * 2 ** 20;

/** Writes all of `bytes` at `position`; a short write goes on where it stopped, one without progress is an error. */
export async function writeFully(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(bytes.length - done, largestTransfer);
    const { bytesWritten } = await file.write(bytes, done, length, position + done);
    if (bytesWritten <= 0) throw Object.assign(new Error('a write made no progress'), { code: 'EIO' });
    done += bytesWritten;
  }
}

/** Fills `bytes` from `position`; returns how many bytes there were before the end of the file. */
export async function readFully(file: OpenFile, bytes: Uint8Array, position: number): Promise<number> {
  let done = 0;
  while (done < bytes.length) {
    const length = Math.min(bytes.length - done, largestTransfer);
    const { bytesRead } = await file.read(bytes, done, length, position + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}

/**
 * Opens a regular file for reading. A named pipe or device is refused rather than waited for.
 *
 * Errors: `E_NOT_FOUND`, `E_READ` (class notFound or permission).
 */
export async function openForReading(path: string, fs: FileSystem): Promise<{ file: OpenFile; size: number }> {
  let file: OpenFile;
  try {
    file = await fs.open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw readError(path, error);
  }
  try {
    const { size, isFile } = await file.stat().then(s => ({ size: s.size, isFile: s.isFile() }));
    if (!isFile) {
      throw new DlcourseError({
        code: 'E_READ',
        class: 'notFound',
        where: path,
        problem: 'expected a regular file, got a folder, pipe or device',
        hint: 'give the path of a file',
      });
    }
    return { file, size };
  } catch (error) {
    await file.close().catch(() => {});
    throw error instanceof DlcourseError ? error : readError(path, error);
  }
}

/** Memory for a tensor from `path`. Errors: `E_MEMORY`. */
export function allocate(length: number, path: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (error) {
    const problem = `expected memory for a tensor of ${length} bytes, got none`;
    throw new DlcourseError({ code: 'E_MEMORY', class: 'resources', where: path, problem, cause: error });
  }
}

/** The system's refusal to read `path`, as a DlcourseError: `E_NOT_FOUND` or `E_READ`. */
export function readError(path: string, error: unknown): DlcourseError {
  const missing = systemCode(error) === 'ENOENT';
  return new DlcourseError({
    code: missing ? 'E_NOT_FOUND' : 'E_READ',
    class: isPermission(error) ? 'permission' : 'notFound',
    where: path,
    problem: missing ? 'expected a file, got none of that name' : `expected to read it, got ${describe(error)}`,
    hint: missing ? 'check the path' : 'check the permissions and the disk',
    cause: error,
  });
}

/** The system's refusal to write `path`, as a DlcourseError `E_WRITE` of class write or permission. */
export function writeError(path: string, attempt: string, error: unknown): DlcourseError {
  const errorClass: ErrorClass = isPermission(error) ? 'permission' : 'write';
  const full = ['ENOSPC', 'EDQUOT'].includes(systemCode(error) ?? '');
  return new DlcourseError({
    code: 'E_WRITE',
    class: errorClass,
    where: path,
    problem: `expected to ${attempt}, got ${describe(error)}`,
    hint: full
      ? 'free some space or write to another folder'
      : errorClass === 'permission'
        ? 'check the permissions of the folder or write to another one'
        : 'check the disk and the folder',
    cause: error,
  });
}

/** The system's name of an error, such as `ENOSPC`. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

function isPermission(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes(systemCode(error) ?? '');
}

function describe(error: unknown): string {
  const code = systemCode(error);
  const plain: Record<string, string> = {
    ENOSPC: 'no space left on the device',
    EDQUOT: 'a disk quota exceeded',
    EIO: 'an input/output error',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'a read-only file system',
    EISDIR: 'a folder',
    ENOTDIR: 'a file where a folder should be',
    ENOENT: 'no such folder',
    EMFILE: 'too many open files',
    ENFILE: 'too many open files',
    EFBIG: 'a file too large for the file system',
    ENAMETOOLONG: 'a name too long',
  };
  if (code !== undefined) return `${plain[code] ?? 'a system error'} (${code})`;
  return error instanceof Error ? error.message : String(error);
}

// A file system in memory that keeps apart what programs see and what is on disk, and fails where it is told to.

import { basename, dirname } from 'node:path';
import type { FileSystem, OpenFile } from '../../src/io/filesystem.js';

interface Inode {
  seen: Uint8Array;
  /** What an fsync has put on disk; nothing before the first. */
  onDisk: Uint8Array;
}

export interface Faults {
  /** The operation, counted from 1, that fails … */
  at?: number;
  /** … with this system error, or at which the process is killed, before or after its effect. */
  with?: 'EIO' | 'ENOSPC' | 'EACCES' | 'kill before' | 'kill after';
  /** The most that one write takes. */
  longestWrite?: number;
}

/** Stands for the death of the process: nothing after it happens. */
export class Killed extends Error {}

/** What a power cut does to bytes and names that no fsync has put on disk. */
export type PowerCut = { names: 'lost' | 'kept'; bytes: 'lost' | 'halved' | 'kept' };

export class FakeFileSystem implements FileSystem {
  private names = new Map<string, Inode>();
  private namesOnDisk = new Map<string, Inode>();
  private dead = false;
  /** The operations so far, for a test's messages. */
  readonly operations: string[] = [];

  constructor(public faults: Faults = {}) {}

  /** The folder after the process died and started again: what programs had seen. */
  restart(): FakeFileSystem {
    return this.copy(this.names, inode => inode.seen);
  }

  /** The folder after a power cut. */
  cutPower({ names, bytes }: PowerCut): FakeFileSystem {
    const lost = ({ seen, onDisk }: Inode) => {
      if (bytes === 'kept') return seen;
      // A file that grew can have its new length with zeros or garbage in place of bytes never written.
      if (bytes === 'halved') {
        return seen.map((byte, i) => (i < (onDisk.length + seen.length) / 2 ? byte : (onDisk[i] ?? 0)));
      }
      return onDisk;
    };
    return this.copy(names === 'kept' ? this.names : this.namesOnDisk, lost);
  }

  list(): string[] {
    return [...this.names.keys()].map(path => basename(path)).sort();
  }

  content(path: string): Uint8Array | undefined {
    return this.names.get(path)?.seen;
  }

  put(path: string, bytes: Uint8Array): void {
    this.names.set(path, { seen: bytes, onDisk: bytes });
  }

  async open(path: string, flags: string | number): Promise<OpenFile> {
    return this.step(`open ${flags}`, () => {
      if (flags === 'r' && !this.names.has(path)) return this.folder(path);
      let inode = this.names.get(path);
      if (flags === 'wx') {
        if (inode) throw systemError('EEXIST');
        inode = { seen: new Uint8Array(0), onDisk: new Uint8Array(0) };
        this.names.set(path, inode);
      }
      if (!inode) throw systemError('ENOENT');
      return this.file(inode);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.step('rename', () => {
      const inode = this.names.get(from);
      if (!inode) throw systemError('ENOENT');
      this.names.delete(from);
      this.names.set(to, inode);
    });
  }

  unlink(path: string): Promise<void> {
    return this.step('unlink', () => {
      if (!this.names.delete(path)) throw systemError('ENOENT');
    });
  }

  readdir(path: string): Promise<string[]> {
    return this.step('readdir', () => [...this.names.keys()].filter(p => dirname(p) === path).map(p => basename(p)));
  }

  stat(path: string): Promise<{ mtimeMs: number }> {
    return this.step('stat', () => {
      if (!this.names.has(path)) throw systemError('ENOENT');
      return { mtimeMs: 0 };
    });
  }

  private file(inode: Inode): OpenFile {
    return {
      write: (bytes, offset, length, position) =>
        this.step('write', () => {
          const bytesWritten = Math.min(length, this.faults.longestWrite ?? length);
          const grown = new Uint8Array(Math.max(inode.seen.length, position + bytesWritten));
          grown.set(inode.seen);
          grown.set(bytes.subarray(offset, offset + bytesWritten), position);
          inode.seen = grown;
          return { bytesWritten };
        }),
      read: (bytes, offset, length, position) =>
        this.step('read', () => {
          const content = inode.seen.subarray(position, position + length);
          bytes.set(content, offset);
          return { bytesRead: content.length };
        }),
      stat: () => this.step('fstat', () => ({ size: inode.seen.length, isFile: () => true })),
      sync: () =>
        this.step('fsync', () => {
          inode.onDisk = inode.seen.slice();
        }),
      close: () => this.step('close', () => {}),
    };
  }

  private folder(path: string): OpenFile {
    const refuse = () => Promise.reject(systemError('EISDIR'));
    return {
      write: refuse,
      read: refuse,
      stat: () => this.step('fstat', () => ({ size: 0, isFile: () => false })),
      sync: () =>
        this.step('fsync folder', () => {
          this.namesOnDisk = new Map([...this.names].filter(([name]) => dirname(name) === path));
        }),
      close: () => this.step('close folder', () => {}),
    };
  }

  private async step<T>(name: string, effect: () => T): Promise<T> {
    if (this.dead) throw new Killed();
    this.operations.push(name);
    const fault = this.operations.length === this.faults.at ? this.faults.with : undefined;
    if (fault === 'kill before') this.dead = true;
    else if (fault && fault !== 'kill after') throw systemError(fault);
    if (this.dead) throw new Killed();
    const result = effect();
    if (fault === 'kill after') {
      this.dead = true;
      throw new Killed();
    }
    return result;
  }

  private copy(names: Map<string, Inode>, content: (inode: Inode) => Uint8Array): FakeFileSystem {
    const copy = new FakeFileSystem();
    for (const [path, inode] of names) copy.put(path, content(inode).slice());
    copy.namesOnDisk = new Map(copy.names);
    return copy;
  }
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: made by the test`), { code });
}

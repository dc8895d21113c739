// One picture through sharp: recognised by content, checked against limits, decoded to H × W × C bytes.

import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Metadata, Sharp, SharpOptions } from 'sharp';
import { DlcourseError } from '../errors.js';
import { readError, systemCode } from '../io/filesystem.js';
import { BadImage, decoderReason } from './bad-files.js';
import { withChannels } from './crops.js';
import type { Picture } from './resize.js';
import { loadSharp } from './sharp.js';

/** Always enabled. */
export const baseFormats = ['jpeg', 'png', 'webp'] as const;
/** Enabled on request. */
export const extraFormats = ['gif', 'tiff', 'avif'] as const;
export type ImageFormat = (typeof baseFormats)[number] | (typeof extraFormats)[number];

/** What is refused before any pixel is decoded. */
export const imageLimits = {
  /** 64 Mpixel: 8192 × 8192. */
  pixels: 2 ** 26,
  channels: 4,
  pages: 1,
  /** 32 MiB. */
  fileBytes: 2 ** 25,
} as const;

/** What alpha is composited on. */
const background = '#ffffff';

const extensions: Record<string, ImageFormat | 'other'> = {
  ...{ jpg: 'jpeg', jpeg: 'jpeg', jpe: 'jpeg', jfif: 'jpeg', png: 'png', webp: 'webp' },
  ...{ gif: 'gif', tif: 'tiff', tiff: 'tiff', avif: 'avif' },
  ...{ bmp: 'other', heic: 'other', heif: 'other', svg: 'other', jp2: 'other', jxl: 'other', ico: 'other' },
};

/** Whether a file's name says that it is a picture, in a format that is enabled or not. */
export function hasImageExtension(file: string): boolean {
  return extensionOf(file) in extensions;
}

function extensionOf(file: string): string {
  return path.extname(file).slice(1).toLowerCase();
}

/** The format by its first bytes. */
export function sniffFormat(bytes: Uint8Array): ImageFormat | undefined {
  const at = (offset: number, length: number) =>
    Buffer.from(bytes.subarray(offset, offset + length)).toString('latin1');
  if (at(0, 3) === '\xff\xd8\xff') return 'jpeg';
  if (at(0, 8) === '\x89PNG\r\n\x1a\n') return 'png';
  if (at(0, 4) === 'RIFF' && at(8, 4) === 'WEBP') return 'webp';
  if (at(0, 6) === 'GIF87a' || at(0, 6) === 'GIF89a') return 'gif';
  if (at(0, 4) === 'II*\0' || at(0, 4) === 'MM\0*') return 'tiff';
  if (at(4, 8) === 'ftypavif') return 'avif';
  return undefined;
}

/** What a file holds that is no supported picture, for messages. */
function describeContent(bytes: Uint8Array): string {
  const start = Buffer.from(bytes.subarray(0, 16)).toString('latin1');
  if (start.startsWith('BM')) return 'BMP';
  if (/^....ftyp(heic|heix|mif1)/s.test(start)) return 'HEIC';
  if (start.startsWith('%PDF')) return 'PDF';
  if (start.startsWith('PK\x03\x04')) return 'a zip archive';
  if (/^\s*<(\?xml|svg)/i.test(start)) return 'XML or SVG';
  if (/^\s*<(!doctype|html)/i.test(start)) return 'HTML';
  return 'unknown data';
}

/** What a picture's header says; sizes are those after EXIF orientation. */
export interface ImageHeader {
  format: ImageFormat;
  height: number;
  width: number;
  /** One channel of luminance, with or without alpha. */
  grey: boolean;
}

/**
 * Checks a file's content against its name, the enabled formats and the limits, and reads its header.
 *
 * @param file its name is only compared with the content.
 * @throws BadImage with the reason.
 */
export async function readHeader(
  bytes: Uint8Array,
  file: string,
  enabled: readonly ImageFormat[],
): Promise<ImageHeader> {
  if (bytes.length === 0) throw new BadImage('is empty');
  if (bytes.length > imageLimits.fileBytes) throw tooLarge(bytes.length);
  const format = sniffFormat(bytes);
  const extension = extensionOf(file);
  if (!format) throw new BadImage(`expected a picture, got ${describeContent(bytes)}`);
  if (extension in extensions && extensions[extension] !== format) {
    throw new BadImage(`is named .${extension} but holds ${format.toUpperCase()}`);
  }
  if (!enabled.includes(format)) {
    throw new BadImage(`is ${format.toUpperCase()}, which isn't enabled (--formats ${format})`);
  }
  const metadata = await open(bytes)
    .metadata()
    .catch(error => {
      throw new BadImage(decoderReason(error));
    });
  checkLimits(metadata);
  const { width, height } = metadata.autoOrient ?? metadata;
  return { format, height, width, grey: /^(b-w|grey16)$/.test(metadata.space ?? '') };
}

function checkLimits({ width, height, channels, pages = 1 }: Metadata): void {
  if (!(width > 0 && height > 0)) throw new BadImage('has no pixels');
  if (width * height > imageLimits.pixels) {
    throw new BadImage(`expected at most ${imageLimits.pixels} pixels, got ${width} × ${height}`);
  }
  if (channels > imageLimits.channels) throw new BadImage(`expected at most 4 channels, got ${channels}`);
  if (pages > imageLimits.pages) throw new BadImage(`expected 1 page, got ${pages}`);
}

export function tooLarge(bytes: number): BadImage {
  return new BadImage(`expected a file of at most ${imageLimits.fileBytes} bytes, got ${bytes}`);
}

/**
 * Decodes a picture whose header was read, at its own size.
 *
 * @returns with one channel its luminance, with three its colours.
 * @throws BadImage when the pixels are damaged: warnings of the decoders count as damage.
 */
export async function decodePixels(bytes: Uint8Array, header: ImageHeader, channels: 1 | 3): Promise<Picture> {
  const { height, width } = header;
  const pipeline = open(bytes).autoOrient().flatten({ background }).toColourspace('srgb');
  const { data } = await pipeline
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(error => {
      throw new BadImage(decoderReason(error));
    });
  if (data.length !== height * width * 3) {
    throw new BadImage(`expected ${height * width * 3} bytes of pixels, got ${data.length}`);
  }
  return withChannels({ height, width, channels: 3, data }, channels);
}

/**
 * Reads one picture file as a data set would, at its own size.
 *
 * @throws DlcourseError `E_NOT_FOUND`, `E_READ`, or `E_IMAGE` with the reason why it isn't a usable picture.
 */
export async function loadPicture(
  file: string,
  channels: 1 | 3,
  formats: readonly ImageFormat[] = baseFormats,
): Promise<Picture> {
  try {
    const { size } = await stat(file);
    if (size > imageLimits.fileBytes) throw tooLarge(size);
    const bytes = await readFile(file);
    return await decodePixels(bytes, await readHeader(bytes, file, [...baseFormats, ...formats]), channels);
  } catch (error) {
    if (error instanceof BadImage) {
      const hint = 'convert it to JPEG, PNG or WebP';
      throw new DlcourseError({ code: 'E_IMAGE', class: 'data', where: file, problem: error.message, hint });
    }
    throw systemCode(error) ? readError(file, error) : error;
  }
}

const options: SharpOptions = {
  failOn: 'warning',
  limitInputPixels: imageLimits.pixels,
  limitInputChannels: imageLimits.channels,
  sequentialRead: true,
};

const open = (bytes: Uint8Array): Sharp => loadSharp()(bytes, options);

/** The versions that pixels depend on: part of the key of everything that is cached. */
export function decoderVersion(): string {
  const { versions } = loadSharp();
  return ['sharp', 'vips', 'mozjpeg', 'png', 'zlib-ng', 'webp', 'tiff', 'heif', 'aom', 'lcms']
    .map(name => `${name} ${(versions as unknown as Record<string, string | undefined>)[name] ?? '-'}`)
    .join(', ');
}

/**
 * Blocks every loader of libvips except JPEG, PNG and WebP (and the extra ones asked for), from memory only, and
 * switches libvips' cache and threads off. This holds for the whole process: for the command line, which owns it; a
 * library leaves other users of sharp alone, and the checks above hold in both.
 */
export function restrictSharp(formats: readonly ImageFormat[] = baseFormats): void {
  const sharp = loadSharp();
  const loaders: Record<ImageFormat, string> = {
    ...{ jpeg: 'Jpeg', png: 'Png', webp: 'Webp' },
    ...{ gif: 'Nsgif', tiff: 'Tiff', avif: 'Heif' },
  };
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({ operation: [...baseFormats, ...formats].map(f => `VipsForeignLoad${loaders[f]}Buffer`) });
  sharp.cache(false);
  sharp.concurrency(1);
}

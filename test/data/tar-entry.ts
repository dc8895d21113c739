// Tar archives by hand: one header block and its content, padded (POSIX.1-1988 ustar).

export interface TarEntry {
  name: string;
  content?: string | Buffer;
  type?: string;
  link?: string;
  prefix?: string;
  /** Stated size, when it isn't the content's. */
  size?: string;
}

export function tarEntry({ name, content = '', type = '0', link = '', prefix = '', size }: TarEntry): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(size ?? `${body.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write(type, 156);
  header.write(link, 157, 100);
  header.write('ustar\x0000', 257);
  header.write(prefix, 345, 155);
  header.write('        ', 148);
  const sum = header.reduce((a, b) => a + b, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

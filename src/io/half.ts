// The two 16-bit float formats on disk, to and from float32, exact and with IEEE rounding.
//
// Values travel as bit patterns in a Uint16Array. Decoding is exact; encoding rounds to nearest, ties to even, and
// overflows to infinity. A NaN stays a NaN with its sign and the upper bits of its payload, so that decoding and
// encoding again returns every one of the 65,536 patterns.

/** 2⁻²⁴, the smallest positive float16. */
const tiny = 2 ** -24;

/** IEEE binary16 (1 sign, 5 exponent, 10 fraction bits) → float32. `target` holds at least as many values. */
export function float16ToFloat32(source: Uint16Array, target = new Float32Array(source.length)): Float32Array {
  requireRoom(source, target);
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) {
    const h = source[i];
    const sign = (h & 0x8000) << 16;
    const magnitude = h & 0x7fff;
    if (magnitude >= 0x7c00) bits[i] = sign | 0x7f800000 | ((h & 0x3ff) << 13);
    else if (magnitude >= 0x400) bits[i] = sign | ((magnitude << 13) + ((127 - 15) << 23));
    else target[i] = sign ? -magnitude * tiny : magnitude * tiny;
  }
  return target;
}

/** float32 → IEEE binary16. `target` holds at least as many values. */
export function float32ToFloat16(source: Float32Array, target = new Uint16Array(source.length)): Uint16Array {
  requireRoom(source, target);
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i];
    const sign = (x >>> 16) & 0x8000;
    const magnitude = x & 0x7fffffff;
    let h: number;
    if (magnitude > 0x7f800000) {
      h = 0x7c00 | ((magnitude >>> 13) & 0x3ff);
      if (h === 0x7c00) h = 0x7c01; // the payload lies in the lost bits: it must not turn into an infinity
    } else if (magnitude >= 0x47800000) {
      h = 0x7c00; // 65,536 and above
    } else if (magnitude >= 0x38800000) {
      const rebased = magnitude - ((127 - 15) << 23);
      h = (rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13; // a carry goes on into the exponent, up to infinity
    } else if (magnitude > 0x33000000) {
      const shift = 126 - (magnitude >>> 23); // 14..24: down to units of 2⁻²⁴
      const significand = (magnitude & 0x7fffff) | 0x800000;
      const whole = significand >>> shift;
      const rest = significand & ((1 << shift) - 1);
      const half = 1 << (shift - 1);
      h = whole + (rest > half || (rest === half && (whole & 1) === 1) ? 1 : 0);
    } else {
      h = 0; // at most 2⁻²⁵, a tie with zero
    }
    target[i] = sign | h;
  }
  return target;
}

/** bfloat16 (the upper half of a float32) → float32. `target` holds at least as many values. */
export function bfloat16ToFloat32(source: Uint16Array, target = new Float32Array(source.length)): Float32Array {
  requireRoom(source, target);
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < source.length; i++) bits[i] = source[i] << 16;
  return target;
}

/** float32 → bfloat16. `target` holds at least as many values. */
export function float32ToBfloat16(source: Float32Array, target = new Uint16Array(source.length)): Uint16Array {
  requireRoom(source, target);
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i];
    if ((x & 0x7fffffff) > 0x7f800000) target[i] = (x & 0x7f0000 ? 0 : 1) | (x >>> 16);
    else target[i] = (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return target;
}

function requireRoom(source: { length: number }, target: { length: number }): void {
  if (target.length < source.length) {
    throw new RangeError(`half: expected a target of at least ${source.length} values, got ${target.length}`);
  }
}

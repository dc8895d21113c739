// Mean and standard deviation of each channel: exact, from histograms, so that they don't depend on any order.

/** Per channel, in units where 255 is 1; what normalisation subtracts and divides by. */
export interface ChannelStatistics {
  mean: number[];
  std: number[];
}

/** Counts of each byte value of each channel: 256 bins a channel, exact up to 2^53 pixels. */
export type Histogram = Float64Array;

export function emptyHistogram(channels: number): Histogram {
  return new Float64Array(256 * channels);
}

/** Adds interleaved pixels (…, C) to the histogram. */
export function countPixels(histogram: Histogram, pixels: Uint8Array, channels: number): void {
  if (channels === 3) {
    // The common case without the inner loop: 4× faster on CIFAR.
    for (let i = 0; i + 2 < pixels.length; i += 3) {
      histogram[pixels[i]]++;
      histogram[256 + pixels[i + 1]]++;
      histogram[512 + pixels[i + 2]]++;
    }
    return;
  }
  for (let i = 0; i < pixels.length; i += channels) {
    for (let c = 0; c < channels; c++) histogram[256 * c + pixels[i + c]]++;
  }
}

/**
 * Mean and population standard deviation of each channel. A constant channel gets a deviation of 1, and an empty
 * split mean 0.5 and deviation 0.25, so that normalising never divides by zero.
 */
export function histogramStatistics(histogram: Histogram): ChannelStatistics {
  const mean: number[] = [];
  const std: number[] = [];
  for (let base = 0; base < histogram.length; base += 256) {
    let count = 0;
    let sum = 0;
    for (let v = 0; v < 256; v++) {
      count += histogram[base + v];
      sum += v * histogram[base + v];
    }
    if (count === 0) {
      mean.push(0.5);
      std.push(0.25);
      continue;
    }
    const average = sum / count;
    let squares = 0;
    for (let v = 0; v < 256; v++) squares += histogram[base + v] * (v - average) ** 2;
    mean.push(average / 255);
    std.push(squares === 0 ? 1 : Math.sqrt(squares / count) / 255);
  }
  return { mean, std };
}

export function packedStatistics(data: Uint8Array, channels: number): ChannelStatistics {
  const histogram = emptyHistogram(channels);
  countPixels(histogram, data, channels);
  return histogramStatistics(histogram);
}

// What is counted in an evaluation: loss, top-1, top-5, and for each class precision, recall and F1.

export interface ClassMetrics {
  readonly name: string;
  readonly images: number;
  /** Right among those named so; 0 when none was. */
  readonly precision: number;
  /** Right among those that are so. */
  readonly recall: number;
  readonly f1: number;
}

export interface Evaluation {
  readonly images: number;
  readonly loss: number;
  readonly top1: number;
  readonly top5: number;
  readonly classes: readonly ClassMetrics[];
  /** confusion[label][prediction] */
  readonly confusion: readonly (readonly number[])[];
}

/** Accumulates logits batch by batch. */
export class Counts {
  readonly #classes: readonly string[];
  readonly #confusion: Float64Array;
  #images = 0;
  #loss = 0;
  #top5 = 0;

  constructor(classes: readonly string[]) {
    this.#classes = classes;
    this.#confusion = new Float64Array(classes.length ** 2);
  }

  /** @param logits n×k, row by row; @param labels n */
  add(logits: Float32Array, labels: ArrayLike<number>): void {
    const k = this.#classes.length;
    for (let row = 0; row < labels.length; row++) {
      const scores = logits.subarray(row * k, (row + 1) * k);
      const label = labels[row]!;
      const own = scores[label]!;
      // NaN compares false with everything: such a row counts as wrong, and its loss as NaN.
      let best = 0;
      let above = 0;
      for (let c = 0; c < k; c++) {
        if (scores[c]! > scores[best]! || Number.isNaN(scores[best]!)) best = c;
        if (!(scores[c]! < own) && (scores[c] !== own || c < label)) above++;
      }
      this.#confusion[label * k + best]! += 1;
      if (above < 5 && !Number.isNaN(own)) this.#top5++;
      this.#loss += crossEntropy(scores, label);
      this.#images++;
    }
  }

  result(): Evaluation {
    const k = this.#classes.length;
    const confusion = Array.from({ length: k }, (_, i) => [...this.#confusion.subarray(i * k, (i + 1) * k)]);
    const right = confusion.reduce((sum, row, i) => sum + row[i]!, 0);
    const classes = this.#classes.map((name, i) => {
      const images = confusion[i]!.reduce((a, b) => a + b, 0);
      const named = confusion.reduce((sum, row) => sum + row[i]!, 0);
      const hits = confusion[i]![i]!;
      const precision = named === 0 ? 0 : hits / named;
      const recall = images === 0 ? 0 : hits / images;
      return { name, images, precision, recall, f1: hits === 0 ? 0 : (2 * precision * recall) / (precision + recall) };
    });
    const share = (count: number): number => (this.#images === 0 ? 0 : count / this.#images);
    return {
      images: this.#images,
      loss: share(this.#loss),
      top1: share(right),
      top5: share(this.#top5),
      classes,
      confusion,
    };
  }
}

function crossEntropy(scores: Float32Array, label: number): number {
  return logSumExp(scores) - scores[label]!;
}

/** Softmax of one row of logits. */
export function probabilities(scores: Float32Array): Float32Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (const s of scores) largest = Math.max(largest, s);
  const out = Float32Array.from(scores, s => Math.exp(s - largest));
  const sum = out.reduce((a, b) => a + b, 0);
  return out.map(p => p / sum);
}

/**
 * One row of scores for several rows that are about one picture: the logarithm of the mean of their probabilities, so
 * that the softmax of the result is that mean. Computed without leaving the logarithms: no probability becomes 0.
 */
export function averageScores(scores: Float32Array, rows: number): Float32Array {
  const k = scores.length / rows;
  const logs = Array.from({ length: rows }, (_, row) => {
    const own = scores.subarray(row * k, (row + 1) * k);
    const total = logSumExp(own);
    return Float64Array.from(own, s => s - total);
  });
  return Float32Array.from({ length: k }, (_, c) => logSumExp(logs.map(log => log[c]!)) - Math.log(rows));
}

function logSumExp(values: ArrayLike<number>): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, values[i]!);
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - largest);
  return largest + Math.log(sum);
}

export interface Prediction {
  readonly index: number;
  readonly label: string;
  readonly probability: number;
}

/** The `count` most probable classes of one row of logits, the lower index first among equals. */
export function topPredictions(scores: Float32Array, classes: readonly string[], count: number): Prediction[] {
  const p = probabilities(scores);
  return [...p.keys()]
    .sort((a, b) => p[b]! - p[a]! || a - b)
    .slice(0, count)
    .map(index => ({ index, label: classes[index] ?? String(index), probability: p[index]! }));
}

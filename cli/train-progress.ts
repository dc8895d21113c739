// What a training shows while it runs: a live line, a line an epoch, or JSON events.

import type { OpenProgress } from '../src/data/image-folder.js';
import { printable } from '../src/errors.js';
import type { Initial } from '../src/train/initial.js';
import type { RunEvent } from '../src/train/run.js';
import { bar, bytes, duration, integer, percent, plural, type Ui } from './ui.js';

export class TrainProgress {
  readonly #ui: Ui;
  #epoch = -1;
  #loss = 0;
  #hits = 0;
  #samples = 0;
  readonly #lastEvent = new Map<string, number>();

  constructor(ui: Ui) {
    this.#ui = ui;
  }

  /** While data are opened. */
  opening(name: string, { step, done, total }: OpenProgress): void {
    const doing = step === 'survey' ? 'looking through' : 'reading';
    this.#ui.live(() => `${doing} ${printable(name)}  ${integer(done)} of ${integer(total)}`);
    if (this.#due('data')) this.#ui.event({ event: 'data', step, done, total });
  }

  /** JSON events of a kind come at once, then twice a second at most. */
  #due(event: 'data' | 'step'): boolean {
    const now = performance.now();
    if (now - (this.#lastEvent.get(event) ?? Number.NEGATIVE_INFINITY) < 500) return false;
    this.#lastEvent.set(event, now);
    return true;
  }

  show(event: RunEvent, model: string, data: string): void {
    const ui = this.#ui;
    const { bold, dim, green } = ui.errorColors;
    switch (event.kind) {
      case 'start': {
        const { kind, ...rest } = event;
        ui.event({ event: kind, ...rest, model, data });
        const perEpoch = Math.round(event.steps / event.epochs);
        ui.progress(
          `${bold(printable(event.folder))}  ${printable(model)}, ${integer(event.parameters)} parameters, on ${printable(data)}; ` +
            `${plural(event.epochs, 'epoch')} of ${plural(perEpoch, 'step')}, ${bytes(event.memoryBytes)} of memory` +
            (event.from > 0 ? `; going on from step ${integer(event.from)}` : ''),
        );
        return;
      }
      case 'notice':
        ui.notice(event.text);
        return;
      case 'initial': {
        const { kind, ...names } = event;
        if (ui.mode === 'json') ui.event({ event: kind, ...names });
        else for (const line of showInitial(names)) ui.notice(line);
        return;
      }
      case 'step':
        this.#step(event);
        return;
      case 'epoch': {
        const { record, epochs, seconds, imagesPerSecond } = event;
        ui.event({ event: 'epoch', ...record, epochs, seconds, imagesPerSecond });
        const width = String(epochs).length;
        const test = record.test;
        ui.clear();
        ui.progress(
          `epoch ${String(record.epoch).padStart(width)}/${epochs}  loss ${record.train.loss.toFixed(4)}  ` +
            `accuracy ${percent(record.train.accuracy).padStart(7)}  ` +
            (test ? `test loss ${test.loss.toFixed(4)}  test ${green(percent(test.top1, 2).padStart(8))}  ` : '') +
            dim(`${imagesPerSecond > 0 ? `${integer(imagesPerSecond)} images/s  ` : ''}${duration(seconds)}`),
        );
        return;
      }
      case 'saved':
        ui.event({ event: 'saved', path: event.path, step: event.step });
        return;
      case 'end':
        ui.clear();
    }
  }

  #step({ report, epochs, step, steps, imagesPerSecond, secondsLeft }: Extract<RunEvent, { kind: 'step' }>): void {
    if (report.epoch !== this.#epoch) {
      this.#epoch = report.epoch;
      this.#loss = this.#hits = this.#samples = 0;
    }
    this.#loss += report.loss * report.samples;
    this.#hits += report.accuracy * report.samples;
    this.#samples += report.samples;
    const perEpoch = steps / epochs;
    const inEpoch = step - report.epoch * perEpoch;
    const evaluating = inEpoch >= perEpoch;
    const loss = this.#loss / this.#samples;
    const accuracy = this.#hits / this.#samples;
    const { green, cyan, dim } = this.#ui.errorColors;
    this.#ui.live(width => {
      const epoch = `epoch ${String(report.epoch + 1).padStart(String(epochs).length)}/${epochs}`;
      const figures = `loss ${loss.toFixed(4)}  accuracy ${percent(accuracy).padStart(7)}`;
      const speed = evaluating ? 'evaluating' : `${integer(imagesPerSecond)} images/s  ${duration(secondsLeft)} left`;
      // The bar takes what the figures leave: on a narrow terminal it goes first.
      const room = Math.min(30, width - epoch.length - figures.length - speed.length - 6);
      const progress = room >= 5 ? `${cyan(bar(inEpoch / perEpoch, room))}  ` : '';
      return `${epoch}  ${progress}${green(figures)}  ${dim(speed)}`;
    }, evaluating);
    if (this.#due('step')) {
      this.#ui.event({
        event: 'step',
        epoch: report.epoch + 1,
        step,
        steps,
        loss,
        accuracy,
        lr: report.lr,
        imagesPerSecond,
        secondsLeft,
      });
    }
  }
}

/** `head: 1000 → 5 classes`, `164 tensors loaded; 2 new: fc.weight, fc.bias; …`: what there is to say. */
export function showInitial({ loaded, fresh, unused, head }: Omit<Initial, 'model' | 'store'>): string[] {
  const names = (list: readonly string[]): string =>
    list.slice(0, 6).join(', ') + (list.length > 6 ? `, and ${list.length - 6} more` : '');
  const parts = [
    `${loaded.length} tensors loaded`,
    ...(fresh.length > 0 ? [`${fresh.length} new: ${names(fresh)}`] : []),
    ...(unused.length > 0 ? [`${unused.length} unused: ${names(unused)}`] : []),
  ];
  const others = head && head.from === head.to ? `${head.to} other classes` : `${head?.from} → ${head?.to} classes`;
  return [...(head ? [`head: ${others}`] : []), parts.join('; ')];
}

import { SingleBar } from 'cli-progress';
import type { DownloadProgress } from '@pangalactic/models';
import { fileSize } from './file-size';
import { TransferRate } from './transfer-rate';

export interface ProgressDisplay {
  show(progress: DownloadProgress): void;
  end(): void;
}

type Step = Exclude<DownloadProgress, { readonly phase: 'waiting' }>;

const LINE_MS = 10_000;
const DOING = { receiving: 'downloading', verifying: 'verifying sha256' } as const;

/** A bar on a terminal, else a line now and then, which suits logs. */
export function createProgressDisplay(stream: NodeJS.WriteStream, now: () => number = Date.now): ProgressDisplay {
  const painter = stream.isTTY ? new Bar(stream) : new Lines(stream, now);
  return new PhasedDisplay(painter, stream, now);
}

interface Painter {
  begin(step: Step): void;
  paint(step: Step, rate: TransferRate): void;
  end(): void;
}

class PhasedDisplay implements ProgressDisplay {
  private phase: Step['phase'] | undefined;
  private rate = new TransferRate(0);

  constructor(
    private readonly painter: Painter,
    private readonly stream: NodeJS.WriteStream,
    private readonly now: () => number,
  ) {}

  show(progress: DownloadProgress): void {
    if (progress.phase === 'waiting') {
      this.stream.write(`waiting for ${progress.holder}, which downloads the same file\n`);
      return;
    }
    if (progress.phase !== this.phase) {
      this.end();
      this.phase = progress.phase;
      this.rate = new TransferRate(progress.totalBytes);
      this.painter.begin(progress);
    }
    this.rate.observe(this.now(), progress.bytes);
    this.painter.paint(progress, this.rate);
  }

  end(): void {
    if (this.phase) this.painter.end();
    this.phase = undefined;
  }
}

class Bar implements Painter {
  private bar: SingleBar | undefined;

  constructor(private readonly stream: NodeJS.WriteStream) {}

  begin({ phase, totalBytes, bytes }: Step): void {
    const format = `${DOING[phase]} {bar} {percentage}% of ${fileSize(totalBytes)}{rest}`;
    this.bar = new SingleBar({ format, stream: this.stream, hideCursor: true, barsize: 30, fps: 5 });
    this.bar.start(totalBytes, bytes, { rest: '' });
  }

  paint({ bytes }: Step, rate: TransferRate): void {
    this.bar?.update(bytes, { rest: restOf(rate) });
  }

  end(): void {
    this.bar?.stop();
  }
}

class Lines implements Painter {
  private nextAt = 0;

  constructor(
    private readonly stream: NodeJS.WriteStream,
    private readonly now: () => number,
  ) {}

  begin({ phase, totalBytes, bytes }: Step): void {
    const before = phase === 'receiving' && bytes > 0 ? `, of which ${fileSize(bytes)} are there already` : '';
    this.stream.write(`${DOING[phase]}: ${fileSize(totalBytes)}${before}\n`);
    this.nextAt = this.now() + LINE_MS;
  }

  paint({ phase, bytes, totalBytes }: Step, rate: TransferRate): void {
    if (this.now() < this.nextAt) return;
    this.nextAt = this.now() + LINE_MS;
    const percentage = Math.floor((100 * bytes) / totalBytes);
    this.stream.write(`${DOING[phase]}: ${percentage}% of ${fileSize(totalBytes)}${restOf(rate)}\n`);
  }

  end(): void {}
}

function restOf(rate: TransferRate): string {
  const { bytesPerSecond, secondsLeft } = rate;
  const left = secondsLeft === undefined ? '' : `, ${durationText(secondsLeft)} left`;
  return bytesPerSecond > 0 ? `, ${(bytesPerSecond / 1e6).toFixed(1)} MB/s${left}` : '';
}

export function durationText(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

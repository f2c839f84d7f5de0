import { SingleBar } from 'cli-progress';
import type { ModelReport } from './model-report';
import { stateText } from './model-tables';

/** Shows how far a load is. */
export interface LoadDisplay {
  show(model: ModelReport): void;
  end(): void;
}

/** A bar on a terminal, else a line for each change that matters, which suits logs. */
export function createLoadDisplay(stream: NodeJS.WriteStream): LoadDisplay {
  return stream.isTTY ? new LoadBar(stream) : new LoadLines(stream);
}

class LoadBar implements LoadDisplay {
  private bar: SingleBar | undefined;

  constructor(private readonly stream: NodeJS.WriteStream) {}

  show(model: ModelReport): void {
    if (!this.bar) {
      const format = '{model} {bar} {text}';
      this.bar = new SingleBar({ format, stream: this.stream, hideCursor: true, barsize: 30, fps: 5 });
      this.bar.start(1, 0, { model: model.model, text: '' });
    }
    this.bar.update(model.progress, { text: model.waiting_for === null ? model.state : progressText(model) });
  }

  end(): void {
    this.bar?.stop();
  }
}

class LoadLines implements LoadDisplay {
  private last = '';

  constructor(private readonly stream: NodeJS.WriteStream) {}

  show(model: ModelReport): void {
    const tenth = Math.floor(model.progress * 10);
    const key = model.state === 'LOADING' ? `${model.state} ${tenth}` : `${model.state} ${model.waiting_for}`;
    if (key !== this.last) this.stream.write(`${model.model}: ${progressText(model)}\n`);
    this.last = key;
  }

  end(): void {}
}

function progressText(model: ModelReport): string {
  return model.state === 'WAITING' ? `${model.state} for ${model.waiting_for}` : stateText(model);
}

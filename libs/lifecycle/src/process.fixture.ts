import { runApp } from './run-app';
import { specSettings, type SpecConfig } from './app.fixture';

void runApp(specSettings(JSON.parse(process.argv[2] ?? '{}') as SpecConfig));

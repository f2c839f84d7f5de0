import { runApp } from '@pangalactic/lifecycle';
import { HUB_PROCESS } from './hub-process';

void runApp(HUB_PROCESS);

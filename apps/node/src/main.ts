import { runApp } from '@pangalactic/lifecycle';
import { NODE_PROCESS } from './node-process';

void runApp(NODE_PROCESS);

import { runApp } from '@pangalactic/lifecycle';
import { GATEWAY_PROCESS } from './gateway-process';

void runApp(GATEWAY_PROCESS);

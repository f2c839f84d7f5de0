import { PangalacticError } from '@pangalactic/contracts';

export function unsupported(message: string): PangalacticError {
  return new PangalacticError('unsupported_architecture', message);
}

export * from './errors';
export * from './inventory-limits';
export * from './package-version';
export * from './proto-path';
export * from './generated/pangalactic/v1/model';
export * from './generated/pangalactic/v1/hub';
export * from './generated/pangalactic/v1/node';

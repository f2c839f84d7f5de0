export * from './app';
export {
  DEFAULT_DRAIN_OPTIONS,
  DrainCoordinator,
  type DrainCallback,
  type DrainOptions,
  type LifecycleState,
} from './drain-coordinator';
export * from './lifecycle.module';
export { ListenError } from './listen-error';
export * from './readiness';
export * from './run-app';

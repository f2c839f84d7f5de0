import tseslint from 'typescript-eslint';

export default tseslint.config(
  { ignores: ['dist/**', '**/generated/**', '**/*.mjs', '**/*.mts', '**/*.cjs', '**/*.js', 'coverage/**'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      'max-lines': ['error', { max: 600, skipBlankLines: true }],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'libs/config is the only reader of the environment.' },
      ],
    },
  },
  {
    files: ['libs/config/**', 'test/**', 'bench/**', '**/*.spec.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
);

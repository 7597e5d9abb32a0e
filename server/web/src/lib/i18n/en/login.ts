// Texts of the login.
export const login = {
  title: 'Log in',
  username: 'Username',
  password: 'Password',
  submit: 'Log in',
  code: 'Code',
  codeHint: 'The six-digit code from your authenticator app.',
  recoveryCode: 'Recovery code',
  recoveryCodeHint: 'Each code works only once.',
  useRecoveryCode: 'Use a recovery code',
  useDevice: 'Use your authenticator app',
  verify: 'Verify',
  back: 'Back',
  wrongCredentials: 'Incorrect username or password.',
  wrongCode: 'The code is incorrect or was already used.',
  again: 'Log in again',
  againText: 'Your session has ended. Log in to continue where you left off.',
};

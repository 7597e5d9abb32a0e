// Texts of the login.
export const login = {
  title: 'Log in',
  username: 'Username',
  password: 'Password',
  submit: 'Log in',
  code: 'Code',
  codeHint: 'The six digits that your device shows.',
  recoveryCode: 'Recovery code',
  recoveryCodeHint: 'Each of them works once.',
  useRecoveryCode: 'Use a recovery code',
  useDevice: 'Use the code of your device',
  verify: 'Verify',
  back: 'Back',
  wrongCredentials: 'The username or the password is wrong.',
  wrongCode: 'This code is not right, or it was used already.',
  again: 'Log in again',
  againText: 'Your session has ended. Log in, and everything is as it was.',
};

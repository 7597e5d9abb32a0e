// Texts around every page.
export const shell = {
  skip: 'Skip to the content',
  navigation: 'Navigation',
  add: 'Add',
  settings: 'Settings',
  account: 'Account',
  logout: 'Log out',
  theme: 'Theme',
  themes: { system: 'System', light: 'Light', dark: 'Dark' },
  language: 'Language',
  roles: { admin: 'Administrator', user: 'User' },
  unreachable: 'The server cannot be reached; trying again.',
  unavailable: 'The database is away; agents keep their samples. Trying again.',
  newVersion: 'A new version of the console is there.',
};

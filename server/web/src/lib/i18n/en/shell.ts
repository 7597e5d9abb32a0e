// Texts around every page.
export const shell = {
  skip: 'Skip to content',
  navigation: 'Navigation',
  add: 'Add',
  settings: 'Settings',
  account: 'Account',
  logout: 'Log out',
  theme: 'Theme',
  themes: { system: 'System', light: 'Light', dark: 'Dark' },
  language: 'Language',
  roles: { admin: 'Administrator', user: 'User' },
  unreachable: 'The server cannot be reached. Trying again…',
  unavailable: 'The database is unavailable. Agents keep their samples. Trying again…',
  newVersion: 'A new version of the console is available.',
};

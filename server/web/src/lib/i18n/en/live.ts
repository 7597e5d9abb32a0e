// Texts about the live connection.
export const live = {
  live: 'live',
  connecting: 'connecting',
  lost: 'not live',
  notLive: 'Live updates interrupted',
  tryingAgain: 'reconnecting',
  tryingAgainIn: (seconds: number) => `reconnecting in ${seconds} s`,
  dataFrom: (time: string) => `data from ${time}`,
  refused: 'Live updates are not available for this account.',
};

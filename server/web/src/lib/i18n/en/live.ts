// Texts about the live connection.
export const live = {
  live: 'live',
  connecting: 'connecting',
  lost: 'not live',
  notLive: 'Not live',
  tryingAgain: 'trying again',
  tryingAgainIn: (seconds: number) => `trying again in ${seconds} s`,
  dataFrom: (time: string) => `data from ${time}`,
  refused: 'Live values are not available to this account.',
};

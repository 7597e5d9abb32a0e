// Files that the page gives to the browser to save.

/** How long the browser may take to begin to read what it was given. */
const READ_WITHIN_MS = 10_000;

/** Gives the browser a file to save. */
export function download(content: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), READ_WITHIN_MS);
}

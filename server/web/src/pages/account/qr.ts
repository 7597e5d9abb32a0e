// QR codes as the path of an SVG: one stroke of it for each run of dark modules.
import { encode } from 'uqr';

/** Modules of white around the code; with fewer, cameras may not find it. */
const QUIET_ZONE = 4;

/** The path, and the side of the square that it is in. */
export function qrPath(text: string): { path: string; size: number } {
  const { data, size } = encode(text, { ecc: 'M', border: QUIET_ZONE });
  const runs = data.flatMap((row, y) => {
    const pieces: string[] = [];
    for (let x = 0; x < row.length; x += 1) {
      const from = x;
      while (row[x]) x += 1;
      if (x > from) pieces.push(`M${from} ${y}h${x - from}v1H${from}z`);
    }
    return pieces;
  });
  return { path: runs.join(''), size };
}

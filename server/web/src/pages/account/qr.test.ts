// The path of a QR code is dark where the code is, and nowhere else.
import { encode } from 'uqr';
import { expect, it } from 'vitest';
import { qrPath } from './qr';

it('draws every dark module once', () => {
  const text = 'otpauth://totp/Pika:admin?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Pika';
  const { path, size } = qrPath(text);
  const drawn = Array.from({ length: size }, () => Array<number>(size).fill(0));
  for (const [, x, y, length] of path.matchAll(/M(\d+) (\d+)h(\d+)v1H\d+z/g)) {
    const row = drawn[Number(y)];
    for (let i = 0; i < Number(length) && row; i += 1) row[Number(x) + i] = (row[Number(x) + i] ?? 0) + 1;
  }
  const { data } = encode(text, { ecc: 'M', border: 4 });
  expect(drawn).toEqual(data.map((row) => row.map(Number)));
  expect(drawn.slice(0, 4).flat()).not.toContain(1);
});

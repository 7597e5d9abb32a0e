// Intl's formatters, made once: making them is what is slow.
type Key = string;

function cached<O, F>(make: (language: string, options: O) => F): (language: string, options: O) => F {
  const made = new Map<Key, F>();
  return (language, options) => {
    const key = `${language}\n${JSON.stringify(options)}`;
    let formatter = made.get(key);
    if (!formatter) made.set(key, (formatter = make(language, options)));
    return formatter;
  };
}

export const numberFormat = cached(
  (language, options: Intl.NumberFormatOptions) => new Intl.NumberFormat(language, options),
);
export const dateFormat = cached(
  (language, options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat(language, options),
);
export const relativeFormat = cached(
  (language, options: Intl.RelativeTimeFormatOptions) => new Intl.RelativeTimeFormat(language, options),
);
export const collator = cached((language, options: Intl.CollatorOptions) => new Intl.Collator(language, options));

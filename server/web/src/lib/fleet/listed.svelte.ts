// The machines as the fleet's page listed them last: which ones are beside another.
interface Named {
  readonly id: string;
}

class Listed {
  /** In the page's order; null: it has not been opened. */
  ids: readonly string[] | null = $state.raw(null);
}

export const listed = new Listed();

/** The machines before and after one in the list; among all machines where it is in none. Who has gone is left out. */
export function beside<T extends Named>(
  id: string,
  ids: readonly string[] | null,
  all: readonly T[],
): { previous: T | undefined; next: T | undefined } {
  const known = (one: string) => all.find((machine) => machine.id === one);
  if (!known(id)) return { previous: undefined, next: undefined };
  const order = ids?.includes(id) ? ids : all.map((machine) => machine.id);
  const first = (others: readonly string[]) => {
    for (const one of others) {
      const machine = known(one);
      if (machine) return machine;
    }
    return undefined;
  };
  const place = order.indexOf(id);
  return { previous: first(order.slice(0, place).reverse()), next: first(order.slice(place + 1)) };
}

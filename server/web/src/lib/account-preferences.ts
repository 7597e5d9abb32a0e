// Preferences follow the account: what it has is read when a session begins and when the page is looked at again; what is
// changed here goes there. Until it can, this browser keeps it.
import { preferences, type Stored } from './preferences.svelte';
import { keepPreferences, keptPreferences } from './queries/account';

type Json = Record<string, unknown>;

/** The console's part of an object that other programs may use as well. */
const PART = 'console';

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What the account keeps for the console; null: nothing yet. */
function partOf(kept: Json): Json | null {
  return isObject(kept[PART]) ? kept[PART] : null;
}

/** The account's object with the changes. What others and later consoles keep in it stays. */
function withChanges(kept: Json, own: Stored, changes: Partial<Stored>): Json {
  return { ...kept, [PART]: { ...(partOf(kept) ?? own), ...changes } };
}

class AccountPreferences {
  #account: string | null = null;
  #running: Promise<void> | null = null;
  #isAskedAgain = false;

  constructor() {
    preferences.onchange(() => {
      if (this.#account !== null) void this.sync(this.#account);
    });
  }

  /** Reads what the account has and tells it of changes. At the next occasion where the server is away. */
  sync(account: string): Promise<void> {
    this.#account = account;
    this.#isAskedAgain = this.#running !== null;
    this.#running ??= this.#exchange(account)
      .catch(() => undefined)
      .finally(() => {
        this.#running = null;
        if (this.#isAskedAgain) void this.sync(this.#account ?? account);
      });
    return this.#running;
  }

  async #exchange(account: string): Promise<void> {
    const kept = await keptPreferences();
    if (account !== this.#account) return;
    preferences.adopt(account, partOf(kept));
    const changes = preferences.unsent;
    if (Object.keys(changes).length === 0) return;
    await keepPreferences(withChanges(kept, preferences.stored, changes));
    preferences.sent(changes);
  }
}

export const accountPreferences = new AccountPreferences();

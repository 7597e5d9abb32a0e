// Who is logged in. `unknown` until the server has said; `expired`: the page stays, and a dialog asks to log in again.
import { onSessionEnded } from './api/client';
import { ApiError } from './api/errors';
import { queryClient } from './api/query';
import { accountQuery, logout, type User } from './queries/account';

type State = { readonly is: 'unknown' | 'out' } | { readonly is: 'in' | 'expired'; readonly user: User };

class Session {
  #state: State = $state.raw({ is: 'unknown' });

  constructor() {
    onSessionEnded(() => {
      this.#state = 'user' in this.#state ? { is: 'expired', user: this.#state.user } : { is: 'out' };
    });
  }

  get is(): State['is'] {
    return this.#state.is;
  }

  /** Who is, or was until the session ended. */
  get user(): User | null {
    return 'user' in this.#state ? this.#state.user : null;
  }

  get isAdmin(): boolean {
    return this.user?.role === 'admin';
  }

  /** Whether what only this role may see is shown; without one, everybody may. */
  has(role: User['role'] | undefined): boolean {
    return role !== 'admin' || this.isAdmin;
  }

  /** Asks the server. Waits for one that is away; throws what waiting does not help against. */
  async begin(): Promise<void> {
    if (this.#state.is !== 'unknown') return;
    try {
      this.#state = { is: 'in', user: await queryClient.fetchQuery(accountQuery()) };
    } catch (error) {
      if (this.is !== 'out') throw error;
    }
  }

  /** Asks again, unless that was a moment ago: the role decides what the page shows. */
  async refresh(): Promise<void> {
    if (this.#state.is !== 'in') return;
    // What goes wrong is said by the bar of outages, or ends the session.
    const user = await queryClient.fetchQuery(accountQuery()).catch(() => null);
    if (user && this.is === 'in') this.#state = { is: 'in', user };
  }

  /** Asks again now: the user has been changed. */
  async reload(): Promise<void> {
    await queryClient.invalidateQueries({ queryKey: accountQuery().queryKey, refetchType: 'none' });
    await this.refresh();
  }

  /** Goes on as this user. Everything on the page is asked for again. */
  resume(user: User): void {
    const before = this.user;
    this.#state = { is: 'in', user };
    // What somebody else has typed and seen is none of this user's business.
    if (before && before.id !== user.id) location.reload();
    queryClient.setQueryData(accountQuery().queryKey, user);
    void queryClient.invalidateQueries();
  }

  /** Ends the session. Nothing that it has seen stays. */
  async end(): Promise<void> {
    // Requests in flight would be refused once the session has ended.
    await queryClient.cancelQueries();
    await logout().catch((error: unknown) => {
      // It has ended already, which is as good.
      if (!(error instanceof ApiError && error.code === 'unauthorized')) throw error;
    });
    this.#state = { is: 'out' };
    queryClient.clear();
  }
}

export const session = new Session();

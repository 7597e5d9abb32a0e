// The cache of answers, with the rules for asking again.
import { QueryClient } from '@tanstack/svelte-query';
import { retry, retryDelay } from './errors';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      retry,
      retryDelay,
      staleTime: 10_000,
      // An address in the local network works without the internet.
      networkMode: 'always',
    },
    // What changes something is repeated by whoever asked for it.
    mutations: { retry: false, networkMode: 'always' },
  },
});

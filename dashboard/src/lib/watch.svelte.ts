// An answer that is asked for again and again, and kept while it cannot be had.

import { untrack } from 'svelte';
import { Failed, json } from './api.svelte';

export class Watched<T> {
  answer = $state.raw<T | null>(null);
  failed = $state.raw<Failed | null>(null);
  isAsking = $state(false);
  #etag = '';

  constructor(readonly path: string) {}

  async refresh() {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      const found = await json<T>(this.path, this.#etag || undefined);
      if (found) {
        this.answer = found.body;
        this.#etag = found.etag;
      }
      this.failed = null;
    } catch (error) {
      this.failed = error instanceof Failed ? error : new Failed('This could not be shown', String(error));
    } finally {
      this.isAsking = false;
    }
  }
}

// To be called while a component is made: asks at once, then every so often while the page is seen.
export function watch(watched: () => Watched<unknown> | null, period: () => number) {
  $effect(() => {
    const one = watched();
    untrack(() => void one?.refresh());
  });
  $effect(() => {
    const one = watched();
    if (!one) return;
    const ask = () => void (document.hidden || one.refresh());
    const timer = setInterval(ask, period());
    document.addEventListener('visibilitychange', ask);
    addEventListener('online', ask);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', ask);
      removeEventListener('online', ask);
    };
  });
}

// The time, for "3 minutes ago"; it goes on while somebody shows it.
export const clock = $state({ now: Date.now() });

export function tick(period = 1000) {
  $effect(() => {
    clock.now = Date.now();
    const timer = setInterval(() => document.hidden || (clock.now = Date.now()), period);
    return () => clearInterval(timer);
  });
}

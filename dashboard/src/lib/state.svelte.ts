// What is kept: the key, how times are shown, the theme; and the address, which holds the page and what was picked.

const KEY = 'sluice.key';

function stored(name: string, fallback: string): string {
  return localStorage.getItem(name) ?? fallback;
}

export const session = $state({ key: sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY) ?? '', refused: false });

export function logIn(key: string, remember: boolean) {
  (remember ? localStorage : sessionStorage).setItem(KEY, key);
  session.key = key;
  session.refused = false;
}

export function logOut(refused = false) {
  localStorage.removeItem(KEY);
  sessionStorage.removeItem(KEY);
  session.key = '';
  session.refused = refused;
}

export const look = $state({ zone: stored('sluice.zone', 'UTC'), theme: stored('sluice.theme', 'auto') });

export function showIn(zone: string) {
  look.zone = zone;
  localStorage.setItem('sluice.zone', zone);
}

export function wear(theme: string) {
  look.theme = theme;
  localStorage.setItem('sluice.theme', theme);
}

export const address = $state({ query: new URLSearchParams(location.search) });

addEventListener('popstate', () => {
  address.query = new URLSearchParams(location.search);
});

export function href(page: string, values: Record<string, string>): string {
  const query = new URLSearchParams({ page });
  for (const [name, value] of Object.entries(values)) if (value) query.set(name, value);
  return `/?${query}`;
}

export function go(to: string) {
  history.pushState(null, '', to);
  address.query = new URLSearchParams(location.search);
}

// A click that the browser would follow here by loading everything anew.
export function follow(event: MouseEvent) {
  const link = (event.target as Element).closest('a[href^="/?"]');
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute('href') ?? '/');
}

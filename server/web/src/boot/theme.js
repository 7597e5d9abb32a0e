// Sets the theme before the first paint. A script of its own, because the policy allows none in the page.
(() => {
  try {
    const { theme } = JSON.parse(localStorage.getItem('pika.preferences') ?? '{}');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch {
    // Without storage, or with nonsense in it, the system's theme is right.
  }
})();

// Where the console begins.
import './styles/index.css';
import { mount } from 'svelte';
import { i18n } from '$lib/i18n/i18n.svelte';
import { preferences } from '$lib/preferences.svelte';
import { router } from '$lib/router/router.svelte';
import { update } from '$lib/shell/update.svelte';
import App from './App.svelte';

update.watch();
preferences.apply();
router.start();
// Not in one language first and then in another.
await i18n.load();
const target = document.getElementById('app');
if (target) mount(App, { target });

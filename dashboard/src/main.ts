import { mount } from 'svelte';
import './style.css';
import './pipeline/pipeline.css';
import App from './App.svelte';

const target = document.getElementById('app');
if (target) mount(App, { target });

import ElementPlus from 'element-plus'
import 'element-plus/dist/index.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import { createApp } from 'vue'
import App from './App.vue'
import { whenSignedOut } from './api/client'
import { i18n } from './i18n'
import { router } from './router'
import { session, signedOut } from './session'
import './style.css'
import './ui'

whenSignedOut(() => {
  const was = session.is !== null
  signedOut()
  if (was) void router.push({ name: 'sign-in', query: { to: router.currentRoute.value.fullPath, ended: '1' } })
})

createApp(App).use(i18n).use(router).use(ElementPlus).mount('#app')

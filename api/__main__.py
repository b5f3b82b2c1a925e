from api.entry import serve_main

serve_main()

from api.cli import serve_main

serve_main()
